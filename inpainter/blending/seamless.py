"""Removes the edge that a generated image may have at the rim of the hole, before it is blended."""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor


def outward(generated: Tensor, hole: Tensor) -> Tensor:
    """Replaces what G made of the known pixels by colours continued out of the hole.

    Poisson blending also keeps the gradients across the rim. A generator that saw the hole may have an edge there, as
    its filling only has to agree with the picture, not with its own image of the known pixels. This removes the edge:
    a pixel at the rim becomes the mean of the missing ones next to it, and any other takes the closest one's colour.

    Args:
        generated: float (N, 3, H, W).
        hole: bool (N, H, W), True = missing. Pictures without a missing pixel stay as they are.
    """
    result = generated.clone()
    for image, missing in zip(result, hole.cpu().numpy(), strict=True):
        if missing.any():
            closest = torch.from_numpy(closest_missing(missing.tobytes(), missing.shape))
            image.copy_(image.flatten(1)[:, closest.to(image.device)].view(image.shape))
    missing = hole[:, None].to(generated)
    total, count = around(generated * missing), around(missing)
    return torch.where((count > 0) & ~hole[:, None], total / count.clamp(min=1), result)


def around(values: Tensor) -> Tensor:
    """Sums the four neighbours of each pixel (N, C, H, W), as far as they are inside the image."""
    p = F.pad(values, (1, 1, 1, 1))
    return p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:]


@lru_cache(maxsize=8)
def closest_missing(hole_bytes: bytes, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Returns the index of the closest missing pixel of each pixel, both in row-major order: (H W,)."""
    hole = np.frombuffer(hole_bytes, dtype=bool).reshape(shape)
    rows, columns = distance_transform_edt(~hole, return_distances=False, return_indices=True)
    return (rows.astype(np.int64) * shape[1] + columns).ravel()
