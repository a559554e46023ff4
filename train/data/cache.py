"""Arrays kept between runs as .npy files: decoded pictures and their features, mapped into memory when read again."""

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

ABANDONED = 24 * 3600  # seconds after which an unfinished file is what a kill has left
VERSION = 2  # of what the pictures went through


def directory() -> Path:
    """`inpainter` in the user's cache directory: $XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inpainter"


def path_of(kind: str, *facts: Any) -> Path:
    """Where the array that follows from `facts` (anything that JSON can hold) is kept."""
    digest = hashlib.sha256(json.dumps([VERSION, kind, *facts]).encode()).hexdigest()
    return directory() / f"{kind}-{digest[:32]}.npy"


def write_rows(path: Path, rows: Iterable[NDArray]) -> int:
    """Writes an array row by row, without holding it, whole or not at all; returns the number of rows.

    All rows have one shape and type. Nothing is written if there are none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in path.parent.glob(".*.partial"):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished it
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
        _write_header(file, first, count)  # of the same length: the format leaves room for the first axis
    return count


def read_rows(path: Path) -> NDArray | None:
    """The array of a file; None if there is none, or it is not a whole one.

    It is mapped into memory: what is not looked at takes none, and changes to it stay there.
    """
    try:
        return np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None


def _write_header(file, row: NDArray, count: int) -> None:
    shape, dtype = (count, *row.shape), np.lib.format.dtype_to_descr(row.dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
