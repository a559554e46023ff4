"""Reads pictures from a folder or glob, a zip, or Parquet files, local or at a URL.

A source first lists its pictures without reading them. The workers then read them, part by part.
"""

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from pathlib import PurePosixPath
from typing import Any, Protocol

from .storage import MAX_BYTES, StorageError, Store, hidden, in_one_sentence, store_at

PICTURE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
# What reading a zip's entry raises if it is damaged, encrypted, or compressed by an unknown method.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, NotImplementedError)
SCALE_EXTRA = "pip install -e '.[scale]'"


@dataclass(frozen=True, slots=True)
class Item:
    """A picture to fill: its key, its place in the source, and its size there."""

    key: str
    size: int  # bytes, as stored
    group: Any = None  # items of different groups (Parquet row groups) are read separately
    row: int = 0  # in its group
    mask: str | None = None  # name of its mask file, if masks come from a folder


@dataclass(slots=True)
class Raw:
    """The bytes of a picture file, or an error."""

    key: str
    data: bytes | None = None
    mask: bytes | None = None
    error: str | None = None


class Source(Protocol):
    url: str

    def items(self) -> Iterator[Item]:
        """Lists all pictures in a fixed order; raises `StorageError`."""

    def read(self, items: Sequence[Item]) -> list[Raw]:
        """Reads pictures of one group; errors are reported in `Raw.error`."""


@dataclass(frozen=True)
class Files:
    """The picture files in a folder and its subfolders; the key is the relative path."""

    store: Store
    pattern: str = "*"  # of relative paths; "*" also matches "/"

    @property
    def url(self) -> str:
        return self.store.url if self.pattern == "*" else f"{self.store.url}/{self.pattern}"

    def items(self) -> Iterator[Item]:
        for name, size in self.store.sizes():
            if is_picture(name) and fnmatchcase(name, self.pattern):
                yield Item(name, size)

    def read(self, items: Sequence[Item]) -> list[Raw]:
        return [_read(item.key, partial(self.store.read, item.key)) for item in items]


@dataclass(frozen=True)
class Zip:
    """The picture files in a zip, except hidden ones; the key is the name in the zip."""

    store: Store  # the zip itself

    @property
    def url(self) -> str:
        return self.store.url

    def items(self) -> Iterator[Item]:
        for info in sorted(_open_zip(self.store).infolist(), key=lambda info: info.filename):
            if is_picture(info.filename) and not hidden(info.filename):
                yield Item(info.filename, info.file_size)

    def read(self, items: Sequence[Item]) -> list[Raw]:
        return [_read(item.key, partial(self._member, item)) for item in items]

    def _member(self, item: Item) -> bytes:
        if item.size > MAX_BYTES:
            raise StorageError(f"{item.key}: more than the {MAX_BYTES >> 20} MiB that can be read.")
        try:
            return _open_zip(self.store).read(item.key)
        except DAMAGED as error:
            raise StorageError(f"{item.key}: the zip's entry cannot be read ({error}).") from error


@dataclass(frozen=True)
class Table:
    """The rows of a Parquet file or a folder of them.

    The image column holds files as bytes, or structs with a field `bytes`, as in the Hub's data sets. A row's key is
    the values of its key columns, joined by "/", or else its file and number.
    """

    store: Store
    image: str = "image"
    mask: str | None = None
    key: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return self.store.url

    def with_mask(self, column: str) -> "Table":
        return replace(self, mask=column)

    def items(self) -> Iterator[Item]:
        for name in self._files():
            file = _open_parquet(self.store, name)
            self._check(file.schema_arrow.names, name)
            for group in range(file.num_row_groups):
                about = file.metadata.row_group(group)
                size = about.total_byte_size // max(1, about.num_rows)
                for row, key in enumerate(self._keys(file, name, group)):
                    yield Item(key, size, (name, group), row)

    def read(self, items: Sequence[Item]) -> list[Raw]:
        keys = [item.key for item in items]
        name, group = items[0].group
        try:
            with in_one_sentence(_joined(self.store.url, name)):
                table = _read_group(self.store, name, group, (self.image, *((self.mask,) if self.mask else ())))
                rows = table.take([item.row for item in items]).to_pylist()
        except StorageError as error:
            return [Raw(key, error=str(error)) for key in keys]
        return [self._raw(key, row) for key, row in zip(keys, rows, strict=True)]

    def _raw(self, key: str, row: dict) -> Raw:
        data, mask = _bytes(row[self.image]), _bytes(row.get(self.mask))
        if data is None:
            return Raw(key, error=f"the column {self.image} holds no picture.")
        if self.mask and mask is None:
            return Raw(key, error=f"the column {self.mask} holds no mask.")
        return Raw(key, data, mask)

    def _files(self) -> list[str]:
        if not self.store.is_folder():
            return [""]
        return [name for name, _ in self.store.sizes() if name.endswith(".parquet")]

    def _check(self, columns: list[str], name: str) -> None:
        for column in (self.image, self.mask, *self.key):
            if column and column not in columns:
                where = _joined(self.store.url, name)
                raise StorageError(f"{where}: there is no column {column!r}; it has {', '.join(columns)}.")

    def _keys(self, file, name: str, group: int) -> Iterator[str]:
        if self.key:
            for row in file.read_row_group(group, columns=list(self.key)).to_pylist():
                yield "/".join(str(row[column]) for column in self.key)
        else:
            first = sum(file.metadata.row_group(earlier).num_rows for earlier in range(group))
            stem = name.removesuffix(".parquet") or PurePosixPath(self.store.url).stem
            for row in range(file.metadata.row_group(group).num_rows):
                yield f"{stem}/{first + row:07d}"


def source_at(place: str | os.PathLike, image: str = "image", key: Sequence[str] = ()) -> Source:
    """Returns the source at a path or URL; `image` and `key` are columns of Parquet files.

    Raises:
        StorageError: if there is nothing there.
    """
    store = store_at(place)
    if "*" in store.url:
        fixed = store.url[: store.url.index("*")].rpartition("/")[0]
        return Files(Store(fixed or "/"), store.url.removeprefix(f"{fixed}/"))
    if not store.exists():
        raise StorageError(f"{place}: there is no such file, folder or bucket.")
    if store.url.endswith(".zip"):
        return Zip(store)
    is_folder = store.is_folder()
    if store.url.endswith(".parquet") or (is_folder and any(name.endswith(".parquet") for name, _ in store.sizes())):
        return Table(store, image, key=tuple(key))
    if not is_folder:
        raise StorageError(f"{place}: neither a folder, nor a zip, nor Parquet; for one picture leave out `batch`.")
    return Files(store)


def is_picture(name: str) -> bool:
    """Returns whether a file is a picture, by the suffix of its name."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def import_parquet():
    """Returns pyarrow.parquet; raises `StorageError` if it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise StorageError(f"Parquet needs pyarrow: {SCALE_EXTRA}.") from error
    return pyarrow.parquet


def _read(key: str, load) -> Raw:
    try:
        return Raw(key, load())
    except ValueError as error:
        return Raw(key, error=str(error))


@lru_cache(maxsize=1)
def _open_zip(store: Store) -> zipfile.ZipFile:
    try:
        with in_one_sentence(store.url):
            return zipfile.ZipFile(store.open())
    except zipfile.BadZipFile as error:
        raise StorageError(f"{store.url}: not a zip file, or a damaged one ({error}).") from error


def _open_parquet(store: Store, name: str):
    parquet = import_parquet()
    url = _joined(store.url, name)
    try:
        with in_one_sentence(url):
            return parquet.ParquetFile(store.open(name))
    except StorageError:
        raise
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise StorageError(f"{url}: not a Parquet file, or a damaged one ({error}).") from error


@lru_cache(maxsize=1)
def _read_group(store: Store, name: str, group: int, columns: tuple[str, ...]):
    """Reads a row group; cached because the next part usually comes from the same one."""
    return _open_parquet(store, name).read_row_group(group, columns=list(columns))


def _bytes(cell: Any) -> bytes | None:
    return cell.get("bytes") if isinstance(cell, dict) else cell


def _joined(url: str, name: str) -> str:
    return f"{url}/{name}" if name else url
