"""Arrays cached between runs as .npy files (decoded pictures, features), memory-mapped when they are read."""

import contextlib
import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpainter import files

ABANDONED = 24 * 3600  # seconds after which an unfinished file is deleted: its process must have been killed
VERSION = 2  # of the preprocessing; a new number invalidates the cache


def directory() -> Path:
    """Returns `inpainter` in the user's cache directory, $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inpainter"


def path_of(kind: str, *facts: Any) -> Path:
    """Returns the path of the array that is determined by `facts` (values that JSON can hold)."""
    digest = hashlib.sha256(json.dumps([VERSION, kind, *facts]).encode()).hexdigest()
    return directory() / f"{kind}-{digest[:32]}.npy"


def write_rows(path: Path, rows: Iterable[NDArray]) -> int:
    """Writes an array atomically, row by row, without holding it in memory; returns the number of rows.

    All rows have the same shape and type. Without rows, nothing is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in path.parent.glob(".*.partial"):
        with contextlib.suppress(FileNotFoundError):  # another process has just renamed it
            if time.time() - unfinished.stat().st_mtime > ABANDONED:
                unfinished.unlink()
    rows, count = iter(rows), 0
    first = next(rows, None)
    if first is None:
        return 0
    with files.staged_file(path) as file:
        _write_header(file, first, 1)
        for row in itertools.chain([first], rows):
            file.write(np.ascontiguousarray(row).data)
            count += 1
        file.seek(0)
        _write_header(file, first, count)  # the same length: the format reserves room for the first axis
    return count


def read_rows(path: Path) -> NDArray | None:
    """Returns the array in a file, or None if it is missing or incomplete.

    The array is memory-mapped (copy on write): only the parts in use take memory, and changes do not reach the file.
    """
    try:
        return np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None


def _write_header(file, row: NDArray, count: int) -> None:
    shape, dtype = (count, *row.shape), np.lib.format.dtype_to_descr(row.dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
