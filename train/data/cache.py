"""Arrays kept between runs: decoded pictures and their features, memory-mapped when read again.

A file is one line of JSON padded to `HEADER_BYTES`, then the rows. It is written beside its final
name and renamed, and checked in full before it is used, so that a file that was cut short or
damaged is made again, never trusted.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 4096
ABANDONED = 24 * 3600  # seconds after which an unfinished file is what a kill has left
VERSION = 1  # of the files' format, and of what the pictures in them went through


def directory() -> Path:
    """`inpainter` in the user's cache directory: $XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inpainter"


def path_of(kind: str, *facts: Any) -> Path:
    """Where the array that follows from `facts` (anything that JSON can hold) is kept."""
    digest = hashlib.sha256(json.dumps([VERSION, kind, *facts]).encode()).hexdigest()
    return directory() / f"{kind}-{digest[:32]}.bin"


def write(path: Path, rows: Iterable[NDArray], notes: list[str]) -> int:
    """Writes rows of one shape and type, and notes, filled in while the rows come; returns the number of rows.

    Without any row nothing is written. Notes beyond the header's room are cut off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in path.parent.glob("*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished it
            if time.time() - unfinished.stat().st_mtime > ABANDONED:
                unfinished.unlink()
    header: dict[str, Any] = {"count": 0, "crc": 0}
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.stem}-", suffix=".tmp", delete=False) as file:
        try:
            file.write(b"\0" * HEADER_BYTES)
            for row in rows:
                data = np.ascontiguousarray(row).data
                header |= {"dtype": str(row.dtype), "shape": row.shape}
                header["count"] += 1
                header["crc"] = zlib.crc32(data, header["crc"])
                file.write(data)
            if header["count"]:
                header["notes"] = [note[:200] for note in notes[:10]]
                file.seek(0)
                file.write(json.dumps(header).encode().ljust(HEADER_BYTES))
                file.flush()
                os.fsync(file.fileno())
                file.close()
                os.replace(file.name, path)
        finally:
            file.close()
            Path(file.name).unlink(missing_ok=True)
    return header["count"]


def read(path: Path) -> tuple[NDArray, list[str]] | None:
    """The rows, (count, *shape), and the notes; None when there is no such file, or it is damaged.

    The array is mapped into memory: what is not looked at takes none, and changes to it stay there.
    """
    try:
        with open(path, "rb") as file:
            header = json.loads(file.read(HEADER_BYTES))
        shape = (header["count"], *header["shape"])
        dtype = np.dtype(header["dtype"])
        if path.stat().st_size != HEADER_BYTES + dtype.itemsize * int(np.prod(shape)):
            return None
        array = np.memmap(path, dtype, "c", HEADER_BYTES, shape)
        return (array, header["notes"]) if _checksum(array) == header["crc"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checksum(array: NDArray) -> int:
    crc = 0
    for start in range(0, len(array), 1024):
        crc = zlib.crc32(np.ascontiguousarray(array[start : start + 1024]).data, crc)
    return crc
