"""An encoder: maps a damaged picture and its hole to a proposed starting code for the search.

It belongs to one generator and lives in the subfolder "encoder" of that model's folder. Without an encoder, searches
start from random codes.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from .base import PretrainedModel
from .configs import EncoderConfig

FOLDER = "encoder"  # inside the model's folder


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

    @torch.no_grad()
    def propose(self, pictures: Tensor, hole: Tensor, truncation: float = 1) -> Tensor:
        """Returns starting codes float32 (N, latent_size) that do not depend on the batch, clipped to the search's box.

        Pictures and holes as for `forward`; `truncation` as for `inpainter.search.box`.
        """
        pairs = zip(pictures.split(1), hole.split(1), strict=True)  # one by one: rounding depends on the batch
        codes, bound = torch.cat([self(*pair).float() for pair in pairs]), self.config.latent_bound
        return codes if bound is None else codes.clamp(-truncation * bound, truncation * bound)
