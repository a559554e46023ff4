"""Writes filled pictures, as files with the same names or as Parquet, one part at a time.

A part is finished once the file with its rows exists: Parquet that contains the pictures, or JSON lines next to the
picture files. Its name is derived from its keys, so a repeated part replaces itself.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Protocol

from ..files import LONGEST_NAME
from .filling import Row
from .pictures import written_name
from .sources import import_parquet
from .storage import OWN_FOLDER, StorageError, Store, in_one_sentence

KINDS = ("files", "parquet")
READERS = 16  # threads that read the rows of earlier runs; they mostly wait for the storage


class Output(Protocol):
    store: Store

    def target(self, key: str) -> str:
        """Returns a picture's name in the output, unique per picture; raises `StorageError` for an invalid key."""

    def finished(self) -> set[str]:
        """Returns the keys of filled pictures, and deletes the rows of failed ones, so that they are tried again."""

    def write(self, rows: Sequence[Row]) -> None:
        """Writes a part; raises `StorageError`."""


@dataclass(frozen=True)
class PictureFiles:
    """Picture files with their relative names; their rows are JSON lines in `_inpainter/rows`."""

    store: Store
    format: str  # as in `pictures.FORMATS`

    @property
    def rows(self) -> Store:
        return Store(f"{self.store.url}/{OWN_FOLDER}/rows")

    def target(self, key: str) -> str:
        steps = key.split("/")
        if "\\" in key or "\0" in key or {"", ".", ".."} & set(steps) or steps[0] == OWN_FOLDER:
            raise StorageError(f"{key!r}: this key cannot be the name of a file in the output.")
        name = written_name(key, self.format)
        if self.store.local and max(len(os.fsencode(step)) for step in name.split("/")) > LONGEST_NAME:
            raise StorageError(f"{key!r}: this key is too long for the name of a file in the output.")
        return name

    def finished(self) -> set[str]:
        return _over_parts(self.rows, ".jsonl", self._keys)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.image is not None:
                self.store.write(self.target(row.key), row.image)
        records = [row.record() for row in rows]
        self.rows.write(f"{_part_name(records)}.jsonl", _lines(records))

    def _keys(self, name: str) -> list[str]:
        records = [json.loads(line) for line in self.rows.read(name).splitlines()]
        kept = [record for record in records if record["error"] is None]
        if len(kept) < len(records):
            _replace(self.rows, name, _lines(kept) if kept else None)
        return [record["key"] for record in kept]


@dataclass(frozen=True)
class ParquetParts:
    """Parquet files that hold the pictures and their rows."""

    store: Store

    def target(self, key: str) -> str:
        try:
            key.encode()
        except UnicodeEncodeError as error:  # a file's name in another encoding
            raise StorageError(f"{key!r}: this key is not text that Parquet can hold.") from error
        return key

    def finished(self) -> set[str]:
        return _over_parts(self.store, ".parquet", self._keys)

    def write(self, rows: Sequence[Row]) -> None:
        records = [{"key": row.key, "image": row.image, **row.record()} for row in rows]
        self.store.write(f"{_part_name(records)}.parquet", _parquet_bytes(_table(records)))

    def _keys(self, name: str) -> list[str]:
        parquet = import_parquet()
        with in_one_sentence(f"{self.store.url}/{name}"):
            rows = parquet.read_table(self.store.open(name), columns=["key", "error"])
            kept = [row["key"] for row in rows.to_pylist() if row["error"] is None]
            if len(kept) < len(rows):
                whole = parquet.read_table(self.store.open(name))
                whole = whole.filter(whole["error"].is_null())
                _replace(self.store, name, _parquet_bytes(whole) if kept else None)
        return kept


def output_at(store: Store, kind: str, format: str) -> Output:
    """Returns an output of one of `KINDS`."""
    if kind == "parquet":
        import_parquet()
        return ParquetParts(store)
    return PictureFiles(store, format)


def _over_parts(store: Store, suffix: str, keys_of) -> set[str]:
    """Returns all keys in the parts of a folder."""
    if not store.exists():
        return set()
    names = [name for name, _ in store.sizes() if name.endswith(suffix)]

    def checked(name: str) -> list[str]:
        try:
            return keys_of(name)
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{store.url}/{name}: damaged, or not of such a run; remove it ({error}).") from error

    with ThreadPoolExecutor(READERS) as pool:
        return {key for keys in pool.map(checked, names) for key in keys}


def _replace(store: Store, name: str, data: bytes | None) -> None:
    if data is None:
        store.remove(name)
    else:
        store.write(name, data)


def _part_name(records: Sequence[dict]) -> str:
    keys = "\n".join(record["key"] for record in records)
    data = keys.encode(errors="surrogateescape")  # a key may be a file's name in any encoding
    return f"part-{sha256(data).hexdigest()[:20]}"


def _lines(records: Sequence[dict]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _table(records: Sequence[dict]):
    import pyarrow as pa

    columns = {
        "key": pa.string(),
        "image": pa.large_binary(),
        "seed": pa.int64(),
        "context_loss": pa.float64(),
        "prior_loss": pa.float64(),
        "seconds": pa.float64(),
        "error": pa.string(),
    }
    return pa.Table.from_pylist(list(records), schema=pa.schema(columns))


def _parquet_bytes(table) -> bytes:
    file = BytesIO()
    import_parquet().write_table(
        table, file, compression={"image": "none"} | dict.fromkeys(table.column_names[2:], "zstd")
    )
    return file.getvalue()
