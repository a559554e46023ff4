"""DCGAN: the generator and discriminator of the paper (v1 section 4.1, CVPR section 3.4)."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .base import LatentModel, ModelError, prior_loss

D_NORMS = ("batch", "none")
MAX_IMAGE_SIZE, MAX_LATENT_SIZE, MAX_CHANNELS = 512, 4096, 4096


@dataclass(frozen=True)
class DCGANConfig:
    """Configuration and training record of a DCGAN. Raises `ModelError` if it cannot be built."""

    family: str = "dcgan"
    image_size: int = 64  # pixels; 4 doubled once per entry of `channels`
    latent_size: int = 100
    latent_distribution: str = "uniform"  # on [-1, 1] in each coordinate
    channels: tuple[int, ...] = (512, 256, 128, 64)  # of G, from 4x4 up; D mirrors them
    d_norm: str = "batch"  # normalisation in D
    training: dict = field(default_factory=dict)  # data, steps, hours, ...: for the model card

    def __post_init__(self):
        for name in ("family", "latent_distribution"):  # a family supports only its default
            value, expected = getattr(self, name), getattr(type(self), name)
            if value != expected:
                raise ModelError(f"config: {name} is {value!r:.80}, expected {expected!r}.")
        if self.d_norm not in D_NORMS:
            raise ModelError(f"config: d_norm is {self.d_norm!r:.80}, expected one of {', '.join(D_NORMS)}.")
        check_shape(self)


def check_shape(config: Any) -> None:
    """Raises `ModelError` unless a configuration's widths and sizes are consistent; makes the widths a tuple."""
    if not isinstance(config.channels, (list, tuple)) or not 1 <= len(config.channels) <= 7:
        raise ModelError(f"config: channels is {config.channels!r:.80}, expected a list of 1 to 7 widths.")
    object.__setattr__(config, "channels", tuple(config.channels))
    for width in config.channels:
        check_size("a width in channels", width, MAX_CHANNELS)
    check_size("latent_size", config.latent_size, MAX_LATENT_SIZE)
    check_size("image_size", config.image_size, MAX_IMAGE_SIZE)
    if config.image_size != 4 * 2 ** len(config.channels):
        raise ModelError(
            f"config: image_size is {config.image_size}, but {len(config.channels)} channel widths give "
            f"{4 * 2 ** len(config.channels)} pixels."
        )
    if not isinstance(config.training, dict):
        raise ModelError(f"config: training is {config.training!r:.80}, expected an object.")


def check_size(name: str, value: object, largest: int) -> None:
    """Raises `ModelError` unless `value` is a whole number from 1 to `largest`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ModelError(f"config: {name} is {value!r:.80}, expected a whole number from 1 to {largest}.")


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
