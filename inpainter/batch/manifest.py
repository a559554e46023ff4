"""The manifest of a run, `run.json` in its output, so that two different runs never mix in one output."""

import json
from dataclasses import asdict

import torch

import inpainter

from .filling import Job
from .outputs import Output
from .sources import Source, Table
from .storage import OWN_FOLDER, StorageError, Store

NAME = f"{OWN_FOLDER}/run.json"


def manifest(job: Job, source: Source, kind: str) -> dict:
    """Returns everything that affects the bytes of a picture, and the input and output."""
    decided = asdict(job) | {"holes": job.holes.about()}
    for name in ("model", "device", "revision"):  # the checksum identifies the model; another machine may resume
        del decided[name]
    decided |= decided.pop("settings")  # flat, so that an error can name the setting that differs
    if decided.pop("own_seeds"):
        decided["seed"] = "each its own, from its key"
    if isinstance(source, Table):
        decided |= {"image_column": source.image, "key_columns": source.key}
    versions = {"inpainter": inpainter.__version__, "torch": torch.__version__}
    return json.loads(json.dumps({"input": source.url, "output": kind, **decided, **versions}))


def claim(output: Output, run: dict) -> None:
    """Claims an empty output for a run, or checks that it belongs to this run.

    Raises:
        StorageError: if it holds another run or other files.
    """
    store = output.store
    if store.exists(NAME):
        try:
            found = json.loads(store.read(NAME))
        except ValueError as error:
            raise StorageError(f"{store.url}/{NAME}: not readable ({error}); fill into another folder.") from error
        run, found = _flat(run), _flat(found)
        different = [name for name in {**run, **found} if run.get(name) != found.get(name)]
        if different:
            name = different[0]
            raise StorageError(
                f"{store.url}: holds another run, with {name} {found.get(name)!r:.300} where this one has "
                f"{run.get(name)!r:.300}; fill into another folder."
            )
        return
    if store.exists() and (not store.is_folder() or next(store.sizes(), None)):
        raise StorageError(f"{store.url}: holds files, but none of such a run; fill into an empty folder.")
    store.write(NAME, json.dumps(run, indent=2).encode() + b"\n")


def _flat(run: dict) -> dict:
    """Names the entries of dictionaries after both, so that an error can name the one that differs."""
    nested = {name: value if isinstance(value, dict) else {"": value} for name, value in run.items()}
    return {f"{name} {key}".strip(): value for name, values in nested.items() for key, value in values.items()}


def check_apart(source: Source, store: Store) -> None:
    """Raises `StorageError` if the output lies in the input, where the next run would take it for input."""
    start, star, _ = source.url.partition("*")  # "*" matches any rest of a path
    if f"{store.url}/".startswith(start if star else f"{start.rstrip('/')}/"):
        raise StorageError(f"{store.url}: the output lies in the input {source.url}; fill into a folder outside of it.")
