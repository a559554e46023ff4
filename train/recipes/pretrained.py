"""Losses on features of EfficientNet-Lite0, pretrained on ImageNet: a distance and a second discriminator."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpainter.models.efficientnet import unit
from inpainter.models.layers import GAIN, Conv, leaky

from ..looks.features import build, read_weights

BLOCKS = (0, 2, 4, 10)  # whose outputs are used: 16, 24, 40 and 112 channels at strides 2, 4, 8 and 16
JUDGED = slice(1, 4)  # of these, the ones the judge sees
JUDGED_CHANNELS = (24, 40, 112)
JUDGE_R1 = 0.1  # gamma of the judge's gradient penalty


class Pretrained(nn.Module):
    """The first blocks of EfficientNet-Lite0, in float32."""

    def __init__(self):
        super().__init__()
        self.network = build(read_weights()).to(memory_format=torch.channels_last)
        self.network.blocks = self.network.blocks[: BLOCKS[-1] + 1]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps images (N, 3, H, W) in [-1, 1] to the features (N, C, h, w) of `BLOCKS`."""
        with torch.autocast(x.device.type, enabled=False), torch.set_grad_enabled(x.requires_grad):
            return [features for index, features in enumerate(self.network.outputs(x)) if index in BLOCKS]


def distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean difference between features, relative to their magnitude: (N,)."""
    pairs = zip(found, wanted, strict=True)
    return torch.stack([(a - b).abs().mean((1, 2, 3)) / b.abs().mean().clamp(min=1e-6) for a, b in pairs]).mean(0)


class Judge(nn.Module):
    """Small discriminators of pretrained features and the hole, one per layer.

    They also see how much the rows of the batch differ in the holes (Karras et al., *Progressive Growing of GANs*, ICLR
    2018, section 3); otherwise a single filling for all pictures would fool them. D does not, because the search
    evaluates it on single pictures.

    Source: Kumari et al., *Ensembling Off-the-shelf Models for GAN Training*, CVPR 2022; Sauer et al., *Projected
    GANs Converge Faster*, NeurIPS 2021.
    """

    def __init__(self, channels: tuple[int, ...] = JUDGED_CHANNELS, width: int = 64):
        super().__init__()
        self.first = nn.ModuleList([Conv(c + 2, width, 3) for c in channels])
        self.more = nn.ModuleList([Conv(width, width, 3, gain=GAIN) for _ in channels])
        self.logit = nn.ModuleList([Conv(width, 1, 1, gain=GAIN) for _ in channels])

    def forward(self, features: list[Tensor], touched: list[Tensor]) -> list[Tensor]:
        """Returns logits (N, 1, h, w) of features (N, C, h, w) per layer; `touched` (N, 1, h, w) is the hole there."""
        seen = [torch.cat([unit(f), t, spread(unit(f), t)], 1) for f, t in zip(features, touched, strict=True)]
        layers = zip(seen, self.first, self.more, self.logit, strict=True)
        return [logit(leaky(more(leaky(first(x))))) for x, first, more, logit in layers]

    def loss(
        self, features: list[Tensor], touched: list[Tensor], sign: int, weights: list[Tensor] | None = None
    ) -> Tensor:
        """Mean of softplus(sign * logit) over the positions that the hole touches and over the layers.

        `weights` (N, 1, h, w), of these positions, multiply it.
        """
        layers = zip(self(features, touched), touched, weights or touched, strict=True)
        losses = [(F.softplus(sign * logit) * w).sum() / t.sum().clamp(min=1) for logit, t, w in layers]
        return torch.stack(losses).mean()

    def penalty(self, features: list[Tensor], touched: list[Tensor]) -> Tensor:
        """R1 penalty with respect to the features, scaled to unit root mean square."""
        features = [unit(f).detach().requires_grad_() for f in features]
        total = sum((logit * t).sum() for logit, t in zip(self(features, touched), touched, strict=True))
        gradients = torch.autograd.grad(total, features, create_graph=True)
        return JUDGE_R1 / 2 * sum(g.square().sum((1, 2, 3)).mean() / g[0, 0].numel() for g in gradients)


def touched(gone: Tensor, features: list[Tensor]) -> list[Tensor]:
    """Returns where a hole, or a weight in it, float (N, 1, H, W), touches each layer's features: (N, 1, h, w)."""
    return [F.adaptive_max_pool2d(gone, f.shape[2:]) for f in features]


def spread(features: Tensor, touched: Tensor) -> Tensor:
    """Standard deviation of features (N, C, h, w) over rows touched by the hole, mean over channels: (N, 1, h, w)."""
    share = touched / touched.sum(0).clamp(min=1)
    variance = (share * (features - (share * features).sum(0)).square()).sum(0)  # (C, h, w)
    return (variance + 1e-8).sqrt().mean(0).expand_as(touched)
