"""CoMod: a generator that sees what is left of a picture, G(z | picture, hole), and a discriminator of fillings.

An encoder looks at the damaged picture at every size down to 4x4 pixels. One vector of what it saw and one made
from z are the style that modulates the decoder's convolutions; the encoder's features are added at each size.
D judges the *composed* picture together with the hole. Bound to pictures and their holes, the model is a
`LatentModel` like any other: search, losses and blending work on it unchanged.

Source: Zhao et al., *Large Scale Image Completion via Co-Modulated Generative Adversarial Networks*, ICLR 2021.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import LatentModel, ModelError, prior_loss
from .dcgan import MAX_CHANNELS, MAX_LATENT_SIZE, check_size
from .layers import GAIN, Conv, Linear, ModulatedConv, ModulatedUp, ToColour, leaky

MAPPING_RATE = 0.01  # of the mapping network's learning rate, as in StyleGAN
LEAST_SIZE, LARGEST_SIZE = 32, 256


@dataclass(frozen=True)
class CoModConfig:
    """The shape of a CoMod model, and the record of its training. Raises `ModelError` if it cannot be built.

    Widths are listed from the picture's size down to 4x4 pixels, each half the size of the one before; the
    decoder uses them from the end.
    """

    family: str = "comod"
    image_size: int = 64  # pixels; 4 doubled once per width after the first
    latent_size: int = 64
    latent_distribution: str = "uniform"  # on [-1, 1] in each coordinate
    style_size: int = 192  # of each of the two halves of the style: of z, and of the picture
    encoder_channels: tuple[int, ...] = (32, 64, 128, 192, 256)
    decoder_channels: tuple[int, ...] = (32, 64, 128, 192, 256)
    discriminator_channels: tuple[int, ...] = (32, 48, 96, 192, 320)
    training: dict = field(default_factory=dict)  # data, steps, hours, ...: for the model card

    def __post_init__(self):
        for name in ("family", "latent_distribution"):  # there is one of each: its default
            value, expected = getattr(self, name), getattr(type(self), name)
            if value != expected:
                raise ModelError(f"config: {name} is {value!r:.80}, expected {expected!r}.")
        check_size("latent_size", self.latent_size, MAX_LATENT_SIZE)
        check_size("style_size", self.style_size, MAX_CHANNELS)
        check_size("image_size", self.image_size, LARGEST_SIZE)
        for name in ("encoder_channels", "decoder_channels", "discriminator_channels"):
            widths = getattr(self, name)
            if not isinstance(widths, (list, tuple)) or len(widths) > 7:
                raise ModelError(f"config: {name} is {widths!r:.80}, expected a list of at most 7 widths.")
            for width in widths:
                check_size(f"a width in {name}", width, MAX_CHANNELS)
            if self.image_size < LEAST_SIZE or self.image_size != 2 ** (len(widths) + 1):
                raise ModelError(
                    f"config: image_size is {self.image_size}, but {len(widths)} {name} make {2 ** (len(widths) + 1)} "
                    f"pixels; a power of two from {LEAST_SIZE} to {LARGEST_SIZE} is expected."
                )
            object.__setattr__(self, name, tuple(widths))
        if not isinstance(self.training, dict):
            raise ModelError(f"config: training is {self.training!r:.80}, expected an object.")


class CoMod(LatentModel):
    """Generator and discriminator; `bound` makes the `LatentModel` of some damaged pictures.

    Unbound, it is bound to pictures of which nothing is left, and so an unconditional generator.
    """

    conditional = True
    latent_bound = 1.0

    def __init__(self, config: CoModConfig = CoModConfig()):
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)

    def bound(self, pictures: Tensor, hole: Tensor) -> "BoundCoMod":
        """The model of fillings of pictures (N, 3, H, W) in [-1, 1] with holes bool (N, H, W), True = missing.

        Its codes are (N, latent_size), one row a picture. What is under the hole is not read.
        """
        return BoundCoMod(self, pictures, hole)

    def sample_latents(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(count, self.config.latent_size, generator=generator) * 2 - 1

    def generate(self, z: Tensor) -> Tensor:
        return self._all_missing(z).generate(z)

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        return self._all_missing(z).prior_loss(images, z)

    def _all_missing(self, z: Tensor) -> "BoundCoMod":
        size = self.config.image_size
        pictures = torch.zeros((), device=z.device).expand(len(z), 3, size, size)
        return self.bound(pictures, torch.ones((), dtype=torch.bool, device=z.device).expand(len(z), size, size))


class BoundCoMod:
    """A `LatentModel` of the fillings of some pictures: row i of every code fills picture i.

    What the encoder sees is computed once, at the first `generate`, which otherwise runs the mapping network and the
    decoder alone. The prior does without it.
    """

    latent_bound = CoMod.latent_bound

    def __init__(self, model: CoMod, pictures: Tensor, hole: Tensor):
        self.model, self.config = model, model.config
        self.pictures, self.hole = pictures, hole[:, None]  # (N, 3, H, W), (N, 1, H, W)
        self.sample_latents = model.sample_latents

    @cached_property
    def seen(self) -> tuple[Tensor, list[Tensor]]:
        """What the encoder sees, see `Generator.look`; in float32 under autocast as well, since it is seen once."""
        with torch.autocast(self.pictures.device.type, enabled=False):
            return self.model.generator.look(damaged(self.pictures, self.hole[:, 0]))

    def generate(self, z: Tensor) -> Tensor:
        """Maps codes (N, latent_size), one a picture, to images (N, 3, H, W), nominally in [-1, 1]."""
        return self.model.generator.fill(z, *self.seen)

    def styles(self, z: Tensor) -> Tensor:
        """The style of each size that codes (N, latent_size) give: (N, sizes, 2 * style_size)."""
        style = torch.cat([self.model.generator.style(z), self.seen[0]], 1)
        return style[:, None].expand(-1, len(self.model.generator.colour), -1)

    def decode(self, styles: Tensor) -> Tensor:
        """Maps styles (N, sizes, 2 * style_size) to images (N, 3, H, W)."""
        return self.model.generator.decode(styles.unbind(1), self.seen[1])

    def compose(self, images: Tensor) -> Tensor:
        """The pictures with their holes filled from images (N, 3, H, W)."""
        return torch.where(self.hole, images, self.pictures)

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """log(1 - D(composed picture, hole)): (N,). Lower is more real."""
        logits, _ = self.model.discriminator(damaged(self.compose(images), self.hole[:, 0], hide=False))
        return prior_loss(logits)


def damaged(pictures: Tensor, hole: Tensor, hide: bool = True) -> Tensor:
    """The networks' input (N, 4, H, W): pictures (N, 3, H, W), `continued` if their holes are hidden, and the holes."""
    shown = continued(pictures, hole) if hide else pictures
    return torch.cat([shown, hole[:, None].to(shown.dtype) - 0.5], 1).contiguous(memory_format=torch.channels_last)


def continued(pictures: Tensor, hole: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) with colours in the hole that continue what is known; grey where nothing is.

    At every size down to one pixel the known colours of each pixel are averaged; a pixel that has none takes the
    colour of the next smaller size. Without this, scattered known pixels reach the encoder's coarser levels as grey.

    Source: the pull-push of Gortler et al., *The Lumigraph*, SIGGRAPH 1996.
    """
    known = (~hole)[:, None].to(pictures.dtype)
    levels = [(pictures.masked_fill(hole[:, None], 0), known)]  # sums of colours and of weights, but for a factor
    while levels[-1][1].shape[-1] > 1:
        levels.append(tuple(F.avg_pool2d(values, 2) for values in levels[-1]))
    smooth = pictures.new_zeros(())
    for colour, weight in levels[::-1]:
        smooth = F.interpolate(smooth, scale_factor=2, mode="bilinear") if smooth.ndim else smooth
        smooth = torch.where(weight > 0, colour / weight.clamp(min=1e-6), smooth)
    return smooth


class Generator(nn.Module):
    """Encoder, mapping network and modulated decoder."""

    def __init__(self, config: CoModConfig):
        super().__init__()
        seen, made = config.encoder_channels, config.decoder_channels[::-1]  # downwards; from 4x4 up
        style = 2 * config.style_size
        self.encoder = Pyramid(seen)
        self.vector = Linear(seen[-1] * 4 * 4, config.style_size)
        self.mapping = nn.ModuleList(
            [Linear(wide, config.style_size, rate=MAPPING_RATE) for wide in (config.latent_size, config.style_size)]
        )
        self.first = ModulatedConv(seen[-1], made[0], style)
        self.up = nn.ModuleList([ModulatedUp(wide, narrow, style) for wide, narrow in pairwise(made)])
        self.skip = nn.ModuleList([Conv(a, b, 1) for a, b in zip(seen[-2::-1], made[1:], strict=True)])
        self.second = nn.ModuleList([ModulatedConv(c, c, style) for c in made[1:]])
        self.colour = nn.ModuleList([ToColour(c, style) for c in made])

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Damaged pictures (N, 4, H, W) and codes (N, latent_size) to images float32 (N, 3, H, W)."""
        return self.fill(z, *self.look(x))

    def look(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What is seen of damaged pictures (N, 4, H, W): a vector (N, style_size), and features from 4x4 up."""
        features = self.encoder(x)[::-1]
        return leaky(self.vector(features[0].float().flatten(1))) * GAIN, features

    def style(self, z: Tensor) -> Tensor:
        """Codes (N, latent_size) to their half of the style (N, style_size)."""
        w = z * math.sqrt(3)  # to a deviation of 1
        for layer in self.mapping:
            w = leaky(layer(w)) * GAIN
        return w

    def fill(self, z: Tensor, vector: Tensor, features: list[Tensor]) -> Tensor:
        """Codes, and what `look` saw, to images float32 (N, 3, H, W)."""
        return self.decode([torch.cat([self.style(z), vector], 1)] * len(self.colour), features)

    def decode(self, styles: list[Tensor], features: list[Tensor]) -> Tensor:
        """One style (N, 2 * style_size) and the features of each size, from 4x4 up, to images float32 (N, 3, H, W)."""
        x = leaky(self.first(features[0], styles[0])) * GAIN
        image = self.colour[0](x, styles[0]).float()  # (N, 3, 4, 4)
        layers = zip(self.up, self.skip, self.second, self.colour[1:], styles[1:], features[1:], strict=True)
        for up, skip, second, colour, w, seen in layers:
            x = leaky(up(x, w) + skip(seen)) * GAIN
            x = leaky(second(x, w)) * GAIN
            image = F.interpolate(image, scale_factor=2, mode="bilinear") + colour(x, w).float()
        return image


class Discriminator(nn.Module):
    """Judges composed pictures together with their holes. Without any norm over the batch: rows are independent."""

    def __init__(self, config: CoModConfig):
        super().__init__()
        channels = config.discriminator_channels
        self.pyramid = Pyramid(channels)
        self.last = Conv(channels[-1], channels[-1], 3, gain=GAIN)
        self.hidden = Linear(channels[-1] * 4 * 4, channels[-1])
        self.logit = Linear(channels[-1], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures and holes (N, 4, H, W) to logits float32 (N,), and the features (N, C, H, W) of each size."""
        features = self.pyramid(x)
        x = leaky(self.last(features[-1])).float()
        return self.logit(leaky(self.hidden(x.flatten(1))) * GAIN).squeeze(1), features


class Pyramid(nn.Module):
    """Features of a picture at each size down to 4x4: strided convolutions that see the reduced picture at each."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.look = nn.ModuleList([Conv(4, width, 3) for width in channels])
        self.down = nn.ModuleList([Conv(wide, narrow, 4, stride=2, gain=GAIN) for wide, narrow in pairwise(channels)])

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [leaky(self.look[0](x))]
        for look, down in zip(self.look[1:], self.down, strict=True):
            x = F.avg_pool2d(x, 2)
            features.append(leaky(look(x) + down(features[-1])))
        return features
