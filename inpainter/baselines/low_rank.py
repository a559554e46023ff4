"""Low-rank matrix completion by truncated nuclear norm regularisation.

Hu et al., "Fast and accurate matrix completion via truncated nuclear norm regularization", TPAMI 2013: the baseline
"LR" of CVPR section 4. Each channel is a matrix with missing entries; all but its largest few singular values are
driven towards zero. It only suits scattered holes: nothing constrains a row or column that is entirely missing, which
comes out black.
"""

import numpy as np
from numpy.typing import NDArray

from .common import complete, one_by_one

RANK = 1  # unpenalised singular values. Hu et al. pick the best of 1 to 20 by the ground truth; at 80% missing it is 1
BETA = 4e-3  # weight of ADMM's quadratic penalty, for levels 0 to 255
OUTER, INNER = 10, 100  # maximum re-estimations of the leading subspaces, and ADMM iterations for each
TOLERANCE = 1e-3  # change relative to the known values


def fill(images: NDArray[np.uint8], hole: NDArray[np.bool_], *, rank: int = RANK) -> NDArray[np.uint8]:
    """Fills holes by completing each channel to a matrix dominated by its `rank` leading singular values.

    Arguments, result and errors as for `complete`.
    """

    def one(picture: NDArray, hole: NDArray) -> NDArray:
        channels = picture.transpose(2, 0, 1).astype(np.float64)  # (3, H, W)
        return np.stack([complete_matrix(channel, hole, rank) for channel in channels], axis=2)

    return complete(images, hole, one_by_one(one))


def complete_matrix(known: NDArray[np.float64], hole: NDArray[np.bool_], rank: int) -> NDArray[np.float64]:
    """Completes a matrix by TNNR-ADMM (Hu et al., algorithms 1 and 2).

    Args:
        known: (H, W), zero in the hole. hole: bool (H, W).

    Returns:
        (H, W), equal to `known` outside the hole.
    """
    limit = TOLERANCE * np.linalg.norm(known)
    outer = known
    for _ in range(OUTER):
        u, _, vt = np.linalg.svd(outer, full_matrices=False)
        leading = u[:, :rank] @ vt[:rank]  # A'B: the gradient of the leading singular values' sum
        w, y = outer, np.zeros_like(known)
        for _ in range(INNER):
            x = shrink(w - y / BETA, 1 / BETA)
            before, w = w, np.where(hole, x + (leading + y) / BETA, known)
            y = y + BETA * (x - w)
            if np.linalg.norm(w - before) <= limit:
                break
        previous, outer = outer, w
        if np.linalg.norm(outer - previous) <= limit:
            break
    return outer


def shrink(matrix: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Lowers all singular values by `threshold`, but not below zero: the proximal operator of the nuclear norm."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return (u * np.maximum(s - threshold, 0)) @ vt
