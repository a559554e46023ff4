"""Mirror images, for fillings averaged over both ways."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .results import Watch


def mirrored(images: NDArray) -> NDArray:
    """Images (N, H, W, ...) or masks, right and left exchanged."""
    return np.ascontiguousarray(images[:, :, ::-1])


def mirrored_watch(callback: Watch) -> Watch:
    """A callback for the search of mirrored pictures, whose previews are flipped back."""
    return lambda step, progress: callback(step, replace(progress, compose=lambda: mirrored(progress.compose())))
