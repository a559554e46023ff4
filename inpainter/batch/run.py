"""A run over many pictures: lists them, starts the engine and returns the summary."""

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
FROM_KEY = "key"  # value of `seed`: derive each picture's from its key
SHOWN_ERRORS = 20  # kept for the summary; all of them are in the output


@dataclass
class Summary:
    """The progress of a run, or its result."""

    total: int  # pictures in the input
    skipped: int = 0  # filled by an earlier run
    filled: int = 0
    failed: int = 0
    errors: list[tuple[str, str]] = field(default_factory=list)  # the first few: (key, message)

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
    """Fills every picture of a folder, zip or Parquet; skips those that an earlier run into the same output filled.

    A picture's bytes depend on the picture, its hole, its key and the settings, but not on the engine, the number of
    workers, the order, or how often the run was stopped and resumed.

    The local engine starts processes that import the calling script, so the script must call this below
    `if __name__ == "__main__":`, as for any `multiprocessing` pool.

    Args:
        input: a folder (searched recursively), a glob, a zip, or Parquet; local, or any URL that fsspec supports.
        output: a folder or URL; empty, or that of an earlier run with the same input and settings.
        mask: one of `masks.NAMES`, a mask file for all pictures, a folder of masks named like the pictures, or
            "column:NAME" of a Parquet input.
        model, device, revision: as in `Inpainter.from_pretrained`.
        engine: "local" (processes on this machine) or "ray" (a Ray cluster).
        workers: number of copies of the model; None: one per core, or one per GPU.
        address: of a Ray cluster; None: start one on this machine for the run.
        mask_seed: of the masks "random" and "pattern".
        seed: of every picture; None: that of `settings`, by default 0, with which a fast search starts from the
            proposal of the model or its encoder. "key": derive each picture's from its key (`seed_of`), so that
            pictures that are missing entirely do not all get the same filling.
        find_faces: the model sees the largest face in a picture instead of its centre.
        format: "lossless" (the original's format; PNG for JPEG and GIF), "original", "png", "webp" or "tiff".
        kind: "files" or "parquet"; None: like the input.
        image_column, key_columns: of a Parquet input; without key columns, a row's key is its file and number.
        part_size: number of pictures that are read, filled and written together.
        progress: called with the current summary at the start and after every part.
        settings, fields: as in `Inpainter.__call__`, with one value for all pictures; blend cannot be "none".

    Returns:
        The `Summary`. It counts the pictures that failed and has the first errors; the output has a row with an error
        for each. The next run tries them again.

    Raises:
        StorageError, ValueError: if nothing can be filled; one sentence.
        EngineError: if the run cannot continue; finished pictures are kept.
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
    """Yields the items; raises `StorageError` if two would have the same name in the output."""
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
        raise ValueError("blend cannot be none: many pictures are filled at their own size.")
    for name in ("prior_weight", "seed"):
        if isinstance(value := getattr(settings, name), tuple):
            raise ValueError(f"{name} must be one for all pictures, got {value!r:.80}.")
