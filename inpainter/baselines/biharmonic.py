"""Biharmonic inpainting (Damelin and Hoang 2018), as scikit-image computes it."""

import numpy as np
from numpy.typing import NDArray

from .common import complete, library, one_by_one


def fill(images: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fills holes by solving the biharmonic equation, which keeps values and slopes smooth across the rim.

    Arguments, result and errors as for `complete`.
    """
    restoration = library("skimage.restoration", "scikit-image")
    inpaint = lambda picture, hole: restoration.inpaint_biharmonic(picture, hole, channel_axis=2) * 255  # noqa: E731
    return complete(images, hole, one_by_one(inpaint))
