"""Total variation inpainting.

Finds the picture of least total variation that equals the known pixels: Rudin, Osher and Fatemi (1992) with the known
pixels as a hard constraint, the baseline of CVPR section 4 (solved there by Afonso et al. 2011). The colour channels
are coupled (Bresson and Chan 2008), so that their edges coincide.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .common import complete, harmonic

ITERATIONS = 500
PRIMAL_STEP = 0.02  # times the dual step, at most 1/8: the reciprocal of the gradient operator's squared norm


def fill(
    images: NDArray[np.uint8], hole: NDArray[np.bool_], *, iterations: int = ITERATIONS, device: str = "cpu"
) -> NDArray[np.uint8]:
    """Fills holes by minimising total variation with the primal-dual method of Chambolle and Pock (2011).

    Runs `iterations` for every picture, on `device`. Other arguments, result and errors as for `complete`.
    """

    def minimise(pictures: NDArray, holes: NDArray) -> NDArray:
        start = np.stack([harmonic(*pair) for pair in zip(pictures, holes, strict=True)])
        x = torch.from_numpy(start).to(device).permute(0, 3, 1, 2).float() / 255  # (N, 3, H, W)
        x = least_variation(x, torch.from_numpy(holes).to(device)[:, None], iterations)
        return (x * 255).permute(0, 2, 3, 1).cpu().numpy()

    return complete(images, hole, minimise)


@torch.no_grad()
def least_variation(x: Tensor, hole: Tensor, iterations: int) -> Tensor:
    """Minimises total variation over the pixels in the hole.

    Args:
        x: float (N, C, H, W) in [0, 1]; fixed outside the hole, the starting values inside.
        hole: bool (N, 1, H, W).
    """
    dual_step = 1 / (8 * PRIMAL_STEP)
    step = PRIMAL_STEP * hole  # known pixels do not move
    across, down = torch.zeros_like(x), torch.zeros_like(x)  # the dual variable, one vector per pixel and channel
    ahead = x
    for _ in range(iterations):
        across[..., :, :-1] += dual_step * (ahead[..., :, 1:] - ahead[..., :, :-1])
        down[..., :-1, :] += dual_step * (ahead[..., 1:, :] - ahead[..., :-1, :])
        length = (across.square() + down.square()).sum(1, keepdim=True).sqrt_().clamp_(min=1)
        across /= length
        down /= length
        divergence = across + down
        divergence[..., :, 1:] -= across[..., :, :-1]
        divergence[..., 1:, :] -= down[..., :-1, :]
        moved = x + step * divergence
        ahead = 2 * moved - x
        x = moved
    return x
