"""Figures of an evaluation: grids to compare methods by eye, error maps, failures (CVPR figures 4 to 13)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inpainter import metrics

from ..looks import sheets

FULL_ERROR = 128  # error in levels that an error map shows as white


def save(stem: Path, images: NDArray[np.uint8], holes: NDArray[np.bool_], shown: dict[str, NDArray[np.uint8]]) -> None:
    """Writes STEM.png, the first pictures; STEM-errors.png, their error maps; STEM-failures.png, the worst pictures.

    The worst are those of the first method in `shown`.
    """
    first = np.arange(min(sheets.SHOWN, len(images)))
    worst = failures(metrics.psnr(next(iter(shown.values())), images, holes))
    for end, which in (("", first), ("-failures", worst)):
        some = {method: filled[which] for method, filled in shown.items()}
        sheets.filled(images[which], holes[which], some).save(f"{stem}{end}.png", optimize=True)
    errors = error_maps(images[first], {method: filled[first] for method, filled in shown.items()})
    errors.save(f"{stem}-errors.png", optimize=True)


def error_maps(images: NDArray[np.uint8], fillings: dict[str, NDArray[np.uint8]]) -> Image.Image:
    """Shows the error of each method's fillings; black is zero (figure 12)."""
    rows = {name: error_map(filled, images) for name, filled in fillings.items()}
    return sheets.labelled({"intact": images, **rows})


def error_map(filled: NDArray[np.uint8], images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean absolute difference over the channels as grey: uint8 (N, H, W, 3), white from `FULL_ERROR` levels up."""
    error = abs(filled.astype(np.float32) - images).mean(axis=3, keepdims=True)
    return (error / FULL_ERROR * 255).clip(0, 255).round().astype(np.uint8).repeat(3, axis=3)


def failures(psnr_hole: NDArray[np.float64]) -> NDArray[np.intp]:
    """Selects the pictures for figure 13 by rule: those with the lowest PSNR in the hole, worst first."""
    return np.argsort(psnr_hole, kind="stable")[: sheets.SHOWN]
