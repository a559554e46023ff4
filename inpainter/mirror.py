"""Mirror images, for averaging the fillings of a picture and its mirror image (`both_ways`)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .results import Filling, Watch


def mirrored(images: NDArray) -> NDArray:
    """Flips images or masks (N, H, W, ...) left to right."""
    return np.ascontiguousarray(images[:, :, ::-1])


def mirrored_watch(callback: Watch) -> Watch:
    """Wraps a callback for the search on mirrored pictures: its previews are flipped back."""
    return lambda step, progress: callback(step, replace(progress, compose=lambda: mirrored(progress.compose())))


def averaged(found: Filling, turned: Filling, holes: NDArray[np.bool_]) -> Filling:
    """Averages the images for the pictures with those for their mirror images, flipped back.

    Where everything is missing the two are unrelated samples, so the first is kept.
    """
    images = (found.images + turned.images.flip(3)) / 2
    images[holes.all((1, 2))] = found.images[holes.all((1, 2))]
    return replace(found, images=images, refined=found.refined & turned.refined)
