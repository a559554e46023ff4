"""A run over many pictures, from listing them to the summary."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..checks import whole
from ..settings import Settings
from . import cluster, local
from .filling import DEFAULTS, Job, model_checksum
from .holes import holes_of
from .manifest import check_apart, claim, manifest
from .outputs import KINDS, Output, output_at
from .pictures import FORMATS
from .sources import Item, Table, source_at
from .storage import StorageError, store_at
from .work import PART, Done, Work, parts_of

ENGINES = {"local": local.run, "ray": cluster.run}
FROM_KEY = "key"  # as the seed: each picture has its own
SHOWN_ERRORS = 20  # kept for the summary; all of them are in the output


@dataclass
class Summary:
    """How a run stands, and in the end how it went."""

    total: int  # pictures in the input
    skipped: int = 0  # filled by an earlier run
    filled: int = 0
    failed: int = 0
    errors: list[tuple[str, str]] = field(default_factory=list)  # the first of them: (key, why)

    def add(self, done: Done) -> None:
        self.filled += done.filled
        self.failed += len(done.errors)
        self.errors += done.errors[: SHOWN_ERRORS - len(self.errors)]

    def __str__(self) -> str:
        return f"{self.filled:,} filled, {self.skipped:,} skipped, {self.failed:,} failed"


def fill(
    input: str | os.PathLike,
    output: str | os.PathLike,
    *,
    mask: str | os.PathLike,
    model: str = "dcgan-celeba",
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    mask_seed: int = 0,
    seed: int | str | None = None,
    find_faces: bool = False,
    format: str = "lossless",
    kind: str | None = None,
    image_column: str = "image",
    key_columns: Sequence[str] = (),
    part_size: int = PART,
    device: str = "auto",
    revision: str | None = None,
    progress: Callable[[Summary], None] | None = None,
    settings: Settings = DEFAULTS,
    **fields: Any,
) -> Summary:
    """Fills every picture of a folder, zip or Parquet; what an earlier run into the same output filled is skipped.

    A picture's bytes depend on the picture, its hole, its key and the settings; not on the engine, the number of
    workers, the order, or how often the run was stopped and started again.

    The engine local starts processes that import the script which calls this, so the call must stand below
    `if __name__ == "__main__":` there, as for any pool of `multiprocessing`.

    Args:
        input: a folder (with all below it), a glob, a zip, or Parquet; local, or any URL that fsspec knows.
        output: a folder or URL; empty, or that of an earlier run with the same input and settings.
        mask: one of `masks.NAMES`, a mask file for all, a folder of masks with the pictures' names, or
            "column:NAME" of a Parquet input.
        model, device, revision: as in `Inpainter.from_pretrained`.
        engine: "local", processes on this machine, or "ray", a Ray cluster.
        workers: None: as many as there are cores, or GPUs.
        address: of a Ray cluster; None: one is started on this machine for the run.
        mask_seed: of the masks "random" and "pattern".
        seed: of every picture; None: that of `settings`, by default 0, which in fast mode starts from what the model
            or its encoder proposes for the picture. "key": each picture has its own, from its key (`seed_of`), so
            that pictures of which nothing is left do not all get the same filling.
        find_faces: the model sees the largest face in a picture instead of its middle.
        format: "lossless": the original's, PNG for JPEG and GIF; "original"; or "png", "webp", "tiff".
        kind: "files" or "parquet"; None: as the input.
        image_column, key_columns: of a Parquet input; without key columns, a row's file and number are its key.
        part_size: pictures that are read, filled and written together; those of a file of Parquet output.
        progress: called with the summary as it stands, at the start and after every part.
        settings, fields: as in `Inpainter.__call__`, with one value for all pictures; a photo cannot be filled with
            blend "none".

    Returns:
        The `Summary`: pictures that could not be filled are counted there, with the reasons, and are rows with an
        error in the output. They are tried again by the next run.

    Raises:
        StorageError, ValueError: when nothing can be filled; in one sentence.
        EngineError: when the run cannot go on; what is finished is kept.
    """
    local.leave_if_being_imported()
    if isinstance(seed, str) and seed != FROM_KEY:
        raise ValueError(f"seed must be a whole number or {FROM_KEY!r}, got {seed!r:.80}.")
    own_seeds = seed == FROM_KEY
    settings = settings.with_fields(**fields, **({} if seed is None or own_seeds else {"seed": seed}))
    _check(engine, format, kind, part_size, workers, settings)
    source = source_at(input, image_column, key=key_columns)
    holes = holes_of(mask, source, mask_seed)
    if holes.column:
        source = source.with_mask(holes.column)
    kind = kind or ("parquet" if isinstance(source, Table) else "files")
    target = output_at(store_at(output), kind, format)
    check_apart(source, target.store)
    checksum = model_checksum(model, revision)
    job = Job(model, checksum, holes, settings, own_seeds, find_faces, format, device, revision)
    items = list(checked(holes.matched(source.items()), target))
    if not items:
        raise StorageError(f"{input}: there are no pictures here.")
    claim(target, manifest(job, source, kind))
    finished = target.finished()
    parts = list(parts_of(items, part_size, finished))
    summary = Summary(len(items), len(items) - sum(map(len, parts)))

    def advance(done: Done) -> None:
        summary.add(done)
        if progress:
            progress(summary)

    advance(Done(0, ()))
    if parts:
        ENGINES[engine](Work(job, source, target), parts, workers, address, advance)
    return summary


def checked(items: Iterator[Item], output: Output) -> Iterator[Item]:
    """The items, after all have been checked to have an output of their own; raises `StorageError`."""
    targets: dict[str, str] = {}
    for item in items:
        target = output.target(item.key)
        if target in targets:
            raise StorageError(f"duplicate keys: {targets[target]} and {item.key} would both be written as {target}.")
        targets[target] = item.key
        yield item


def _check(engine: str, format: str, kind: str | None, part_size: int, workers: int | None, settings: Settings) -> None:
    for name, value, known in (("engine", engine, (*ENGINES,)), ("format", format, FORMATS), ("kind", kind, KINDS)):
        if value is not None and value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
    whole("part_size", part_size, 1, 1_000_000)
    if workers is not None:
        whole("workers", workers, 1, 100_000)
    if settings.blend == "none":
        raise ValueError("blend must be poisson or overlay: many pictures are filled at their own size.")
    for name in ("prior_weight", "seed"):
        if isinstance(value := getattr(settings, name), tuple):
            raise ValueError(f"{name} must be one for all pictures, got {value!r:.80}.")
