"""The methods that the papers compare with, and those of common libraries, behind one signature.

>>> from inpainter import baselines
>>> fill = baselines.get("tv")
>>> filled = fill(images, hole)  # uint8 (N, H, W, 3), bool (N, H, W): uint8 (N, H, W, 3)

Known pixels come back bit for bit, and pixels under the hole are never read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import biharmonic, context_encoder, low_rank, nearest, opencv, patchmatch, tv
from .common import Fill, NotApplicable, library

__all__ = ["BASELINES", "Baseline", "Fill", "NotApplicable", "get"]


@dataclass(frozen=True)
class Baseline:
    """A baseline method: its description, reference, function and requirements."""

    description: str
    reference: str
    fill: Callable
    needs: str = ""  # required argument of `fill` besides images and hole
    library: tuple[str, str] | None = None  # module, and the package that provides it


OPENCV = ("cv2", "opencv-python-headless")
BASELINES = {
    "tv": Baseline("least total variation, colours coupled", "Rudin et al. 1992; Chambolle and Pock 2011", tv.fill),
    "low_rank": Baseline("matrix completion by truncated nuclear norm", "Hu et al., TPAMI 2013", low_rank.fill),
    "patchmatch": Baseline(
        "patches from the same picture",
        "Barnes et al., SIGGRAPH 2009",
        patchmatch.fill,
        library=("patchmatch", "pypatchmatch"),
    ),
    "nearest": Baseline(
        "nearest training picture, Poisson-blended", "after Hays and Efros, SIGGRAPH 2007", nearest.fill, needs="bank"
    ),
    "context_encoder": Baseline(
        "network trained on holes", "Pathak et al., CVPR 2016", context_encoder.fill, needs="model"
    ),
    "telea": Baseline("fast marching, OpenCV", "Telea, JGT 2004", partial(opencv.fill, method="telea"), library=OPENCV),
    "navier_stokes": Baseline(
        "Navier-Stokes, OpenCV",
        "Bertalmio et al., CVPR 2001",
        partial(opencv.fill, method="navier-stokes"),
        library=OPENCV,
    ),
    "biharmonic": Baseline(
        "biharmonic equation, scikit-image",
        "Damelin and Hoang, IJMMS 2018",
        biharmonic.fill,
        library=("skimage.restoration", "scikit-image"),
    ),
}


def get(name: str, **needs: Any) -> Fill:
    """Returns the `fill(images, hole)` function of a baseline.

    Args:
        name: one of `BASELINES`.
        needs: extra arguments of the baseline: `bank`, uint8 (K, H, W, 3), for "nearest"; `model`, a
            `ContextEncoder`, for "context_encoder".

    Raises:
        ValueError: if there is no such baseline, or a library or argument that it needs is missing.
    """
    if name not in BASELINES:
        raise ValueError(f"the baseline must be one of {', '.join(BASELINES)}, got {name!r}.")
    baseline = BASELINES[name]
    if baseline.library:
        library(*baseline.library)
    if baseline.needs and baseline.needs not in needs:
        raise ValueError(f"the baseline {name!r} needs a {baseline.needs}.")
    return partial(baseline.fill, **needs)
