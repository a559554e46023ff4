"""What a run's output was made with, so that no two runs mix in one."""

import json
from dataclasses import asdict

import torch

import inpainter

from .filling import Job
from .outputs import Output
from .sources import Source
from .storage import OWN_FOLDER, StorageError, Store

NAME = f"{OWN_FOLDER}/run.json"


def manifest(job: Job, source: Source, kind: str) -> dict:
    """Everything that decides the bytes of a picture, and where the pictures come from."""
    decided = asdict(job) | {"holes": job.holes.about()}
    for name in ("model", "device", "revision"):  # the checksum says which model; any machine may go on
        del decided[name]
    decided |= decided.pop("settings")  # side by side, so that a refusal names the one that differs
    if decided.pop("own_seeds"):
        decided["seed"] = "each its own, from its key"
    versions = {"inpainter": inpainter.__version__, "torch": torch.__version__}
    return json.loads(json.dumps({"input": source.url, "output": kind, **decided, **versions}))


def claim(output: Output, run: dict) -> None:
    """Makes an output this run's own, or finds that it is.

    Raises:
        StorageError: when it holds another run, or anything else.
    """
    store = output.store
    if store.exists(NAME):
        try:
            found = json.loads(store.read(NAME))
        except ValueError as error:
            raise StorageError(f"{store.url}/{NAME}: not readable ({error}); fill into another folder.") from error
        different = [name for name in {**run, **found} if run.get(name) != found.get(name)]
        if different:
            name = different[0]
            raise StorageError(
                f"{store.url}: holds another run, with {name} {found.get(name)!r:.80} where this one has "
                f"{run.get(name)!r:.80}; fill into another folder."
            )
        return
    if store.exists() and (not store.is_folder() or next(store.sizes(), None)):
        raise StorageError(f"{store.url}: holds files, but none of such a run; fill into an empty folder.")
    store.write(NAME, json.dumps(run, indent=2).encode() + b"\n")


def check_apart(source: Source, store: Store) -> None:
    """Raises `StorageError` when the output lies in the input, where a later run would find its own pictures."""
    folder = source.url.partition("*")[0].rstrip("/")
    if f"{store.url}/".startswith(f"{folder}/"):
        raise StorageError(f"{store.url}: the output lies in the input {folder}; fill into a folder outside of it.")
