"""Mirror images, for averaging the fillings of a picture and its mirror image (`both_ways`)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .results import Watch


def mirrored(images: NDArray) -> NDArray:
    """Flips images or masks (N, H, W, ...) left to right."""
    return np.ascontiguousarray(images[:, :, ::-1])


def mirrored_watch(callback: Watch) -> Watch:
    """Wraps a callback for the search on mirrored pictures: its previews are flipped back."""
    return lambda step, progress: callback(step, replace(progress, compose=lambda: mirrored(progress.compose())))
