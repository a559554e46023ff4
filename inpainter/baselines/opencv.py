"""OpenCV's two methods: fast marching (Telea 2004) and Navier-Stokes (Bertalmio et al. 2001)."""

import numpy as np
from numpy.typing import NDArray

from .common import complete, library, one_by_one

RADIUS = 3  # pixels; the neighbourhood that Telea's method averages


def fill(images: NDArray[np.uint8], hole: NDArray[np.bool_], *, method: str = "telea") -> NDArray[np.uint8]:
    """Fills holes with `cv2.inpaint`; `method` is "telea" or "navier-stokes".

    Other arguments, result and errors as for `complete`.
    """
    cv2 = library("cv2", "opencv-python-headless")
    flags = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}
    if method not in flags:
        raise ValueError(f"method must be one of {', '.join(flags)}, got {method!r}.")
    inpaint = lambda picture, hole: cv2.inpaint(picture, hole.astype(np.uint8), RADIUS, flags[method])  # noqa: E731
    return complete(images, hole, one_by_one(inpaint))
