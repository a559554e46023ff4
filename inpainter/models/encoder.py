"""An encoder: maps a damaged picture and its hole to a proposed starting code for the search.

It belongs to one generator and lives in the subfolder "encoder" of that model's folder. Without an encoder, searches
start from random codes.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from .base import ModelError, PretrainedModel
from .dcgan import check_shape

FOLDER = "encoder"  # inside the model's folder


@dataclass(frozen=True)
class EncoderConfig:
    """Configuration and training record of an encoder. Raises `ModelError` if it cannot be built."""

    family: str = "encoder"
    image_size: int = 64  # pixels; halved once per entry of `channels`, down to 4
    latent_size: int = 100
    latent_bound: float | None = 1.0  # largest absolute value of each coordinate; None: unbounded
    channels: tuple[int, ...] = (48, 96, 192, 384)
    training: dict = field(default_factory=dict)  # generator, data, steps, hours, ...

    def __post_init__(self):
        if self.family != "encoder":
            raise ModelError(f"config: family is {self.family!r:.80}, expected 'encoder'.")
        check_shape(self)
        bound = self.latent_bound
        number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
        if bound is not None and not (number and 0 < bound <= 100):
            raise ModelError(f"config: latent_bound is {bound!r:.80}, expected a number above 0, up to 100, or null.")


class Encoder(PretrainedModel):
    """Maps damaged pictures to codes: stride-2 convolutions with batch norm down to 4x4, then one linear layer.

    After the encoder of iGAN (Zhu et al., ECCV 2016), which maps an intact picture to the starting code of a search;
    this one also sees the hole.
    """

    def __init__(self, config: EncoderConfig = EncoderConfig()):
        super().__init__()
        self.config = config
        first, *_ = widths = config.channels
        layers = [nn.Conv2d(4, first, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for narrow, wide in pairwise(widths):  # each halves the size
            layers += [
                nn.Conv2d(narrow, wide, kernel_size=4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(wide),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 4 * 4, config.latent_size))

    def forward(self, pictures: Tensor, hole: Tensor) -> Tensor:
        """Proposes codes.

        Args:
            pictures: float (N, 3, H, W) in [-1, 1]; pixels under the hole are not read.
            hole: bool (N, H, W), True = missing.

        Returns:
            float (N, latent_size), within the bound.
        """
        hole = hole[:, None]
        z = self.layers(torch.cat([pictures.masked_fill(hole, 0), hole.to(pictures.dtype)], dim=1))
        return z if self.config.latent_bound is None else self.config.latent_bound * z.tanh()
