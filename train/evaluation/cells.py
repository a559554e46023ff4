"""Evaluation results cached batch by batch, so that an interrupted evaluation can continue.

A cell is the result of one method on one batch of damaged pictures. Its key is a digest of everything it depends on, so
a change of settings, model, pictures or holes never reuses an old result.
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

UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # raised for a damaged file


@dataclass(frozen=True)
class Cell:
    """Result of a method on N pictures.

    Attributes:
        images: uint8 (N, H, W, 3), filled; empty if the method cannot fill these holes.
        generated: uint8 (N, H, W, 3), G(z) of a search; empty for other methods.
        latents: float32 (N, latent_size), the codes z of a search; empty for other methods.
        losses: float64 (N, 2), context and prior loss of a search; NaN for other methods.
        seconds: time taken.
        refused: why the method cannot fill these holes; empty if it can.
    """

    images: NDArray[np.uint8]
    generated: NDArray[np.uint8]
    latents: NDArray[np.float32]
    losses: NDArray[np.float64]
    seconds: float
    refused: str = ""


def digest(settings: dict[str, Any], *arrays: NDArray) -> str:
    """Returns a digest of settings (anything that JSON can represent) and arrays."""
    sha = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        sha.update(f"{array.dtype} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:24]


def read_cell(path: Path) -> Cell | None:
    """Reads a cell; None if the file is missing or cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("images", "generated", "latents", "losses")}
            return Cell(**arrays, seconds=float(file["seconds"]), refused=str(file["refused"]))
    except UNREADABLE:
        return None


def read_values(path: Path) -> NDArray | None:
    """Reads the array `values` of a file; None if the file is missing or cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["values"]
    except UNREADABLE:
        return None


def write_arrays(path: Path, **contents: Any) -> None:
    """Writes the fields of a cell, or other arrays, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    np.savez_compressed(data, **contents)
    files.write_bytes(path, data.getbuffer())
