"""Nearest training picture: pastes the one that best matches the known pixels into the hole.

CVPR section 4 compares with it to show that the search does not merely memorise the training pictures. The idea is
from Hays and Efros, "Scene completion using millions of photographs", SIGGRAPH 2007.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import blending
from .. import images as img
from .common import complete

CHUNK = 2048  # bank pictures converted to float at once: 100 MB at 64x64


def fill(
    images: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    *,
    bank: NDArray[np.uint8],
    blend: str = "poisson",
    device: str = "cpu",
) -> NDArray[np.uint8]:
    """Fills holes from the nearest picture of a bank.

    Args:
        bank: uint8 (K, H, W, 3), intact pictures of the same size.
        blend: "poisson" or "overlay" (paste).
        device: where the comparison runs.
        Other arguments, result and errors as for `complete`.
    """
    bank = np.ascontiguousarray(bank)
    if bank.dtype != np.uint8 or bank.ndim != 4 or bank.shape[1:] != np.shape(images)[-3:] or not len(bank):
        raise ValueError(
            f"bank must be uint8 pictures of the images' size {np.shape(images)[-3:]}, got {bank.dtype} {bank.shape}."
        )

    def paste(pictures: NDArray, holes: NDArray) -> NDArray:
        found = bank[nearest(pictures, holes, bank, device)]
        blended = blending.compose(img.to_tensor(pictures), img.to_tensor(found), torch.from_numpy(holes), blend)
        return img.to_uint8(blended)

    return complete(images, hole, paste)


def nearest(
    pictures: NDArray[np.uint8], holes: NDArray[np.bool_], bank: NDArray[np.uint8], device: str = "cpu"
) -> NDArray[np.intp]:
    """Returns the index (N,) of the bank picture with the smallest squared distance on the known pixels."""
    known = torch.from_numpy(~holes).to(device)
    flat = (_centred(pictures, device) * known[..., None]).flatten(1)  # (N, H W 3)
    known = known.flatten(1).float()  # (N, H W)
    distances = []
    for first in range(0, len(bank), CHUNK):
        chunk = _centred(bank[first : first + CHUNK], device)
        squares = chunk.square().sum(3).flatten(1)  # (K, H W)
        # |known (p - b)|^2 without |known p|^2, which is the same for the whole bank
        distances.append(known @ squares.T - 2 * flat @ chunk.flatten(1).T)
    return torch.cat(distances, dim=1).argmin(dim=1).cpu().numpy()


def _centred(pictures: NDArray[np.uint8], device: str) -> Tensor:
    """Centres levels on zero, so that sums of squares keep their precision in float32."""
    return torch.from_numpy(pictures).to(device).float() - 127.5
