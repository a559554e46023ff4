"""The objective of the latent search: importance weights, context loss, prior loss, and feature loss.

Source: Yeh et al., CVPR 2017, section 3; its first version (2016), section 3. The feature loss is not theirs.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.base import prior_loss as prior_loss  # defined there because the models use it

WINDOW = 7  # pixels; the paper's best window (CVPR section 4)


def importance_weights(hole: Tensor, window: int | None = WINDOW) -> Tensor:
    """Weighs each known pixel by the missing share of its neighbours (CVPR eq. 3).

    Args:
        hole: bool (N, H, W), True = missing.
        window: odd side of the neighbourhood in pixels; None gives every known pixel weight 1, as
            the first version of the paper does.

    Returns:
        float32 (N, 1, H, W) in [0, 1]: zero in the hole, largest at its rim, zero further than
        `window // 2` pixels from it. Neighbours outside the image are not counted.

    Raises:
        ValueError: if `window` is not an odd number of at least 3.
    """
    missing = hole[:, None].float()  # (N, 1, H, W)
    known = 1 - missing
    if window is None:
        return known
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window must be an odd number of at least 3, got {window}.")
    kernel = missing.new_ones(1, 1, window, window)
    missing_around = F.conv2d(missing, kernel, padding=window // 2)
    pixels_around = F.conv2d(torch.ones_like(missing), kernel, padding=window // 2)  # inside the image
    # A known pixel does not add to `missing_around` itself, but is in `pixels_around`: take it out.
    return known * missing_around / (pixels_around - 1).clamp(min=1)


def context_loss(generated: Tensor, pictures: Tensor, weights: Tensor, norm: str = "l1") -> Tensor:
    """Weighted distance from the known pixels, summed over pixels and channels (CVPR eq. 4).

    Args:
        generated, pictures: float (N, 3, H, W) in [-1, 1].
        weights: float (N, 1, H, W), zero in the hole.
        norm: "l1" as both papers use, or "l2" (sum of squares) for comparison.

    Returns:
        float (N,).
    """
    difference = weights * (generated - pictures)
    if norm == "l1":
        return difference.abs().sum((1, 2, 3))
    if norm == "l2":
        return difference.square().sum((1, 2, 3))
    raise ValueError(f"norm must be 'l1' or 'l2', got {norm!r}.")


def context_gradient(generated: Tensor, pictures: Tensor, weights: Tensor, norm: str = "l1") -> Tensor:
    """The gradient of `context_loss` with respect to `generated`: arguments as there, float (N, 3, H, W)."""
    difference = generated - pictures
    return weights * difference.sign() if norm == "l1" else 2 * weights.square() * difference


def feature_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference between features, per image.

    Args:
        features, targets: D's features of one layer after the other, float (N, C, H, W): of the known pixels
            of a generated image, and of those of the picture.

    Returns:
        float (N,). Layers weigh the same, whatever their size.

    Source: Pan et al., *Exploiting Deep Generative Prior for Versatile Image Restoration and Manipulation*,
    ECCV 2020; with one layer of D, Schlegl et al., *Unsupervised Anomaly Detection with Generative
    Adversarial Networks to Guide Marker Discovery*, IPMI 2017.
    """
    layers = zip(features, targets, strict=True)
    return torch.stack([(a - b).abs().mean((1, 2, 3)) for a, b in layers]).mean(0)
