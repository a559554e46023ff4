"""The objective of the latent search: importance weights and context loss. The prior loss is the model's own.

Source: Yeh et al., CVPR 2017, section 3; its first version (2016), section 3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 7  # pixels, for 64-pixel pictures; the paper's best window (CVPR section 4)
NORMS = ("l1", "l2")


def usual_window(side: int) -> int:
    """Scales the paper's window to pictures of a given side: 7 at 64 pixels, 13 at 128, at least 3."""
    return max(3, 2 * round(WINDOW // 2 * side / 64) + 1)


def importance_weights(hole: Tensor, window: int | str | None = "auto") -> Tensor:
    """Weighs each known pixel by the missing fraction of its neighbours (CVPR eq. 3).

    Args:
        hole: bool (N, H, W), True = missing.
        window: odd side of the neighbourhood in pixels, at least 3 (else raises ValueError); "auto": as
            `usual_window`; None: weight 1 for every known pixel, as in the paper's first version.

    Returns:
        float32 (N, 1, H, W) in [0, 1]: zero in the hole, largest at its rim, zero more than `window // 2` pixels
        away from it. Neighbours outside the image are not counted.
    """
    if window is None:
        return (~hole)[:, None].float()
    if window == "auto":
        window = usual_window(hole.shape[1])
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window must be an odd number of at least 3, got {window}.")
    missing_around = box_sums(hole.float(), window // 2)
    pixels_around = box_sums(torch.ones_like(hole, dtype=torch.float32), window // 2)  # inside the image
    # A pixel is not its own neighbour, but `pixels_around` counts it: subtract it.
    return (~hole * missing_around / (pixels_around - 1).clamp(min=1))[:, None]


def box_sums(values: Tensor, reach: int) -> Tensor:
    """Sums (N, H, W) over the part inside the image of the (2 reach + 1)^2 window around each pixel.

    Uses cumulative sums along each axis, so the cost does not depend on the window; exact for integers.
    """
    for axis in (1, 2):
        side = values.shape[axis]
        sums = F.pad(values.cumsum(axis).transpose(1, axis), (0, 0, 1, 0)).transpose(1, axis)  # sums of the first i
        place = torch.arange(side, device=values.device)
        last, first = (place + reach + 1).clamp(max=side), (place - reach).clamp(min=0)
        values = sums.index_select(axis, last) - sums.index_select(axis, first)
    return values


def context_loss(generated: Tensor, pictures: Tensor, weights: Tensor, norm: str = "l1") -> Tensor:
    """Returns the weighted distance to the known pixels, summed over pixels and channels (CVPR eq. 4).

    Args:
        generated, pictures: float (N, 3, H, W) in [-1, 1].
        weights: float (N, 1, H, W), zero in the hole.
        norm: "l1" as in both papers, or "l2" (sum of squares) for comparison.

    Returns:
        float (N,).
    """
    difference = weights * (generated - pictures)
    if norm == "l1":
        return difference.abs().sum((1, 2, 3))
    if norm == "l2":
        return difference.square().sum((1, 2, 3))
    raise ValueError(f"norm must be 'l1' or 'l2', got {norm!r}.")
