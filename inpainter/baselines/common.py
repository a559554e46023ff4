"""What all baselines share: what they accept, what they refuse, and that known pixels come back."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from .. import reading
from ..blending import harmonic_solver

Fill = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.uint8]]


class NotApplicable(ValueError):
    """A hole that a method cannot fill by its nature, and why, in one sentence."""


def complete(images: NDArray[np.uint8], hole: NDArray[np.bool_], fill: Fill) -> NDArray[np.uint8]:
    """Fills the pictures that miss something with `fill`, and puts the known pixels back.

    Args:
        images: uint8 (N, H, W, 3), or (H, W, 3) for one; what is under the hole is not read.
        hole: bool (N, H, W), or (H, W) for all, True = missing.
        fill: gets the pictures with a hole, zero under it, and their holes; what it returns, in 0 to
            255 but of any number type and perhaps beyond that range, is rounded and clipped.

    Returns:
        uint8 (N, H, W, 3); known pixels bit for bit, pictures with an empty hole as they were.

    Raises:
        NotApplicable: when nothing of a picture is known.
        TypeError, ValueError: for other types or shapes.
    """
    pictures = np.stack(reading.as_picture_list(images))
    holes = np.stack(reading.as_hole_list(hole, len(pictures)))
    if holes.shape[1:] != pictures.shape[1:3]:
        raise ValueError(f"hole must be {pictures.shape[1:3]} like the pictures, got {holes.shape[1:]}.")
    if (full := holes.all(axis=(1, 2))).any():
        raise NotApplicable(f"nothing of picture {full.argmax() + 1} is known, so there is nothing to fill it from.")
    result = pictures.copy()
    if len(damaged := np.flatnonzero(holes.any(axis=(1, 2)))):
        holes = holes[damaged]
        filled = fill(np.where(holes[..., None], 0, pictures[damaged]).astype(np.uint8), holes)
        levels = np.asarray(filled, dtype=np.float64).round().clip(0, 255).astype(np.uint8)
        result[damaged] = np.where(holes[..., None], levels, pictures[damaged])
    return result


def one_by_one(fill: Callable[[NDArray, NDArray], NDArray]) -> Fill:
    """Makes a `fill` of many pictures from one of a single picture (H, W, 3) and hole (H, W)."""
    return lambda pictures, holes: np.stack([fill(*pair) for pair in zip(pictures, holes, strict=True)])


def harmonic(picture: NDArray, hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Continues the known pixels of (H, W, C) harmonically into the hole: a smooth start for iterations."""
    filled = picture.astype(np.float64)
    filled[hole] = harmonic_solver(hole.tobytes(), hole.shape)(filled[~hole])
    return filled


def library(module: str, package: str) -> ModuleType:
    """Imports a library that only a baseline needs; raises `ValueError` naming the way to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(f"this baseline needs {package}: pip install {package} ({error}).") from error
