"""Finds the hole of each picture: a named mask, one mask file for all, a folder of masks, or a Parquet column."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from .. import masks
from ..reading import read_hole
from .sources import Item, Raw, Source, Table, is_picture
from .storage import StorageError, Store, store_at

COLUMN = "column:"


@dataclass(frozen=True)
class Holes:
    """Where holes come from; exactly one of name, file, folder and column is set."""

    name: str | None = None  # of `masks.NAMES`
    seed: int = 0  # of the masks "random" and "pattern"
    file: bytes | None = None
    folder: Store | None = None
    column: str | None = None

    def about(self) -> dict:
        """Returns the entry in the run's manifest."""
        digest = sha256(self.file).hexdigest() if self.file is not None else None
        folder = self.folder.url if self.folder else None
        return {"name": self.name, "seed": self.seed, "file": digest, "folder": folder, "column": self.column}

    def matched(self, items: Iterable[Item]) -> Iterator[Item]:
        """Adds to each item the name of its mask file; raises `StorageError` if any is missing."""
        if self.folder is None:
            yield from items
            return
        # Where several files have a picture's name, such as a text file beside the mask, the picture file is the mask.
        files = sorted((name for name, _ in self.folder.sizes()), key=is_picture)
        by_stem = {_stem(name): name for name in files}
        missing, count = [], 0
        for item in items:
            count += 1
            mask = by_stem.get(_stem(item.key))
            if mask is None:
                missing.append(item.key)
            yield replace(item, mask=mask)
        if missing:
            raise StorageError(
                f"{self.folder.url}: no mask for {len(missing):,} of {count:,} pictures, the first {missing[0]}."
            )

    def read(self, items: Iterable[Item], raws: list[Raw]) -> list[Raw]:
        """Reads the pictures' masks if they come from a folder."""
        if self.folder is not None:
            for item, raw in zip(items, raws, strict=True):
                try:
                    raw.mask = self.folder.read(item.mask)
                except ValueError as error:
                    raw.error = raw.error or f"the mask: {error}"
        return raws

    def hole(self, raw: Raw, size: int) -> NDArray[np.bool_]:
        """Returns a picture's hole: bool, of the model's size or that of the mask file.

        Raises:
            ValueError: if the mask cannot be read.
        """
        if self.name is not None:
            return masks.named(self.name, size, self.seed)
        return read_hole(BytesIO(raw.mask if self.file is None else self.file))


def holes_of(mask: str | os.PathLike, source: Source, seed: int = 0) -> Holes:
    """Returns the holes that `--mask` specifies.

    Raises:
        StorageError: if it is neither a name, a column, a file nor a folder.
    """
    text = os.fspath(mask)
    if text in masks.NAMES:
        return Holes(name=text, seed=seed)
    if text.startswith(COLUMN):
        if not isinstance(source, Table):
            raise StorageError(f"{text}: only Parquet has columns, and {source.url} is none.")
        return Holes(column=text.removeprefix(COLUMN))
    store = store_at(text)
    if not store.exists():
        names = ", ".join(masks.NAMES)
        raise StorageError(f"{text}: neither one of {names}, nor {COLUMN}NAME, nor a mask file or folder of masks.")
    if store.is_folder():
        return Holes(folder=store)
    holes = Holes(file=store.read())
    try:
        read_hole(BytesIO(holes.file))
    except ValueError as error:
        raise StorageError(f"{text}: {error}") from error
    return holes


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()
