"""Results of an evaluation, kept batch by batch, so that a stopped one goes on where it was.

A cell is what one method made of one batch of damaged pictures. It is found again by a digest of all
that it depends on, so that another setting, model, picture or hole never meets an old result.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpainter import files

UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # what a damaged file raises


@dataclass(frozen=True)
class Cell:
    """What a method made of N pictures.

    Attributes:
        images: uint8 (N, H, W, 3), filled; empty when the method refused.
        generated: uint8 (N, H, W, 3), G(z) of a search; empty for other methods.
        latents: float32 (N, latent_size), the codes z of a search; empty for other methods.
        losses: float64 (N, 2), context and prior loss of a search; NaN for other methods.
        seconds: that it took.
        refused: why the method cannot fill these holes, empty when it did.
    """

    images: NDArray[np.uint8]
    generated: NDArray[np.uint8]
    latents: NDArray[np.float32]
    losses: NDArray[np.float64]
    seconds: float
    refused: str = ""


def digest(settings: dict[str, Any], *arrays: NDArray) -> str:
    """A name for settings (anything that JSON can hold) and arrays, different as soon as one of them is."""
    sha = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        sha.update(f"{array.dtype} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:24]


def read_cell(path: Path) -> Cell | None:
    """The cell in a file; None when there is none, or it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("images", "generated", "latents", "losses")}
            return Cell(**arrays, seconds=float(file["seconds"]), refused=str(file["refused"]))
    except UNREADABLE:
        return None


def read_values(path: Path) -> NDArray | None:
    """The array `values` of a file; None when there is none, or it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["values"]
    except UNREADABLE:
        return None


def write_arrays(path: Path, **contents: Any) -> None:
    """Writes what a cell consists of, or other arrays, beside `path` and renames: a kill leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    np.savez_compressed(data, **contents)
    files.write_bytes(path, data.getbuffer())
