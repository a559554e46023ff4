"""A batch of pictures with their holes, and the losses of their fillings that need no network of their own."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inpainter.models.comod_networks import damaged

PAIRS = 8  # one in this many rows of a batch is a second filling of another row
PAIR_DIFFERENCE = 0.2  # target mean absolute difference in the hole between two fillings of a picture, in [-1, 1]


@dataclass(frozen=True)
class Batch:
    """Pictures and their holes; the last rows, one in `PAIRS`, repeat the first ones."""

    real: Tensor  # (N, 3, H, W) in [-1, 1]
    hole: Tensor  # bool (N, H, W)
    trust: Tensor  # (N, 1, H, W), weight of the truth in the hole, see `holes.trust`
    contest: Tensor  # (N, 1, H, W), weight of the discriminators in the hole
    z: Tensor  # (N, latent_size)

    @property
    def gone(self) -> Tensor:
        """The hole as float (N, 1, H, W), 1 = missing."""
        return self.hole[:, None].float()

    @property
    def sure(self) -> Tensor:
        """How well the known pixels determine the filling, in [0, 1]: mean trust in the hole, (N,)."""
        return self.trust.sum((1, 2, 3)) / self.gone.sum((1, 2, 3)).clamp(min=1)

    def seen(self, pictures: Tensor) -> Tensor:
        """Returns D's input: the pictures with their holes (N, 4, H, W)."""
        return damaged(pictures, self.hole, hide=False)


def eased(pictures: Tensor, share: Tensor) -> Tensor:
    """Returns pictures (N, C, H, W) whose gradient will be multiplied by a share (N, 1, H, W) at each pixel."""
    return torch.lerp(pictures.detach(), pictures, share)


def feature_match(features: list[Tensor], real_features: list[Tensor], sure: Tensor) -> Tensor:
    """Mean difference between D's features (N, C, h, w) of composed and intact pictures, weighted by `sure` (N,)."""
    pairs = zip(features, real_features, strict=True)
    return sum(((a.float() - b.float()).abs().mean((1, 2, 3)) * sure).mean() for a, b in pairs) / len(features)


def alike(images: Tensor, gone: Tensor, sure: Tensor) -> Tensor:
    """Penalises two fillings of one hole that differ less than they should, where little is known.

    After Mao et al., *Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis*, CVPR 2019.
    """
    pairs = len(images) // PAIRS
    difference = ((images[-pairs:] - images[:pairs]).abs() * gone[:pairs]).mean((1, 2, 3))
    difference = difference / gone[:pairs].mean((1, 2, 3)).clamp(min=1e-3)  # mean over the hole
    return F.relu(PAIR_DIFFERENCE * (1 - sure[:pairs]) - difference).mean()
