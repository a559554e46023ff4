"""Fills a picture and its mirror image, and takes the mean: nearer to the truth than either, at twice the time."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import images as img
from ..pipeline import Inpainter
from ..results import Result, compose


def fill_both_ways(
    model: Inpainter, images: img.Pictures, hole: img.Holes, *, blend: str = "poisson", **settings: Any
) -> Result:
    """Fills each picture's hole as `model` does, and that of its mirror image; the mean of both, mirrored back.

    The two searches err differently, and the mean errs less; where they disagree, it is soft. The row
    `both-ways` of docs/results.md measures by how much.

    Args:
        images, hole, blend: as for `Inpainter.__call__`.
        settings: all else that it takes. A callback sees both searches, that of the mirror images last.

    Returns:
        The `Result` for the pictures as they are, but with the mean of the generated images, and of the
        filled ones. A picture with nothing left is no mean: it is a sample, as from the model itself.

    Raises:
        TypeError, ValueError: as `Inpainter.__call__` does.
    """
    plain = model(images, hole, blend=blend, **settings)
    turned = model(mirrored(plain.pictures), mirrored(plain.hole), blend=blend, **settings)
    generated = (plain._generated + turned._generated.flip(3)) / 2
    everything = plain.hole.all(axis=(1, 2))
    generated[everything] = plain._generated[everything]  # two samples have nothing in common
    return replace(
        plain,
        images=compose(plain.pictures, generated, plain.hole, blend),
        generated=img.to_uint8(generated),
        seconds=plain.seconds + turned.seconds,
        _generated=generated,
    )


def mirrored(images: NDArray) -> NDArray:
    """Images (N, H, W, ...) or masks, right and left exchanged."""
    return np.ascontiguousarray(images[:, :, ::-1])
