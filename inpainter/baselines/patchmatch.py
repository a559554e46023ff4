"""PatchMatch (Barnes et al., SIGGRAPH 2009), using the library PyPatchMatch.

Fills the hole with overlapping patches of the same picture, so it needs intact patches. It rejects the paper's random
mask, which leaves none, as CVPR section 4 does.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from .common import NotApplicable, complete, library, one_by_one

RADIUS = 3  # patches of 7x7 pixels


def fill(
    images: NDArray[np.uint8], hole: NDArray[np.bool_], *, radius: int = RADIUS, seed: int = 0
) -> NDArray[np.uint8]:
    """Fills holes with patches of side 2 `radius` + 1 from the same picture.

    Other arguments, result and errors as for `complete`; also raises `NotApplicable` if a picture has no intact patch.
    """
    patchmatch = library("patchmatch", "pypatchmatch")

    def one(picture: NDArray, hole: NDArray) -> NDArray:
        if not has_intact_patch(hole, radius):
            side = 2 * radius + 1
            raise NotApplicable(f"PatchMatch copies patches of {side}x{side} pixels, and this hole leaves none intact.")
        patchmatch.set_random_seed(seed)
        return patchmatch.inpaint(picture, hole, patch_size=radius)

    return complete(images, hole, one_by_one(one))


def has_intact_patch(hole: NDArray[np.bool_], radius: int) -> bool:
    """Returns whether the picture contains a fully known square of side 2 `radius` + 1."""
    touched = maximum_filter(hole, size=2 * radius + 1, mode="constant", cval=True)
    return not touched.all()
