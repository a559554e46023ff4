"""DCGAN: the generator and discriminator of the paper (v1 section 4.1, CVPR section 3.4)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from .base import LatentModel, prior_loss
from .configs import DCGANConfig


class DCGAN(LatentModel):
    """Generator and discriminator of 64x64 colour images; the number of widths sets other sizes.

    Tensors are named `generator.<layer>.<name>` and `discriminator.<layer>.<name>`, where `<layer>` is the index in
    the `nn.Sequential`. Source: Radford et al. 2016, as used by Yeh et al.
    """

    latent_bound = 1.0

    def __init__(self, config: DCGANConfig = DCGANConfig()):
        super().__init__()
        self.config = config
        self.generator = generator(config)
        self.discriminator = discriminator(config)

    def sample_latents(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(count, self.config.latent_size, generator=generator) * 2 - 1

    def generate(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """Returns log(1 - D(image)), computed from the logit as -softplus(logit): (N,) (CVPR eq. 5)."""
        return prior_loss(self.discriminator(images).squeeze(1))


def generator(config: DCGANConfig) -> nn.Sequential:
    """Builds G: codes (N, latent_size) to images (N, 3, image_size, image_size) in [-1, 1]."""
    first, last = config.channels[0], config.channels[-1]
    layers = [
        nn.Linear(config.latent_size, first * 4 * 4, bias=False),
        nn.Unflatten(1, (first, 4, 4)),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
    ]
    for wide, narrow in pairwise(config.channels):  # each doubles the size
        layers += [
            nn.ConvTranspose2d(wide, narrow, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(last, 3, kernel_size=4, stride=2, padding=1), nn.Tanh())


def discriminator(config: DCGANConfig) -> nn.Sequential:
    """Builds D: images (N, 3, image_size, image_size) to one logit each (N, 1), positive for real.

    The single logit is equivalent to the paper's two-class softmax.
    """
    narrowest, *_ = widths = config.channels[::-1]
    layers = [nn.Conv2d(3, narrowest, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    normed = config.d_norm == "batch"
    for narrow, wide in pairwise(widths):  # each halves the size
        layers += [
            nn.Conv2d(narrow, wide, kernel_size=4, stride=2, padding=1, bias=not normed),
            *([nn.BatchNorm2d(wide)] if normed else []),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 4 * 4, 1))
