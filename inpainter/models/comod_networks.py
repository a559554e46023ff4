"""The networks of a CoMod: encoder, mapping network, modulated decoder and discriminator.

Source: Zhao et al., *Large Scale Image Completion via Co-Modulated Generative Adversarial Networks*, ICLR 2021.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configs import CoModConfig
from .efficientnet import BACKBONE_CHANNELS, Backbone
from .layers import GAIN, Attention, Conv, Linear, ModulatedConv, ModulatedUp, ToColour, leaky

CHANNELS = 4  # of the networks' input: a picture's colours and its hole, see `damaged`
ATTENTION_SIDES = (16, 8)  # of the encoder's features
MAPPING_RATE = 0.01  # learning-rate multiplier of the mapping network, as in StyleGAN


def damaged(pictures: Tensor, hole: Tensor, hide: bool = True) -> Tensor:
    """Builds the networks' input (N, 4, H, W): pictures (N, 3, H, W), `continued` if `hide`, and their holes."""
    shown = continued(pictures, hole) if hide else pictures
    return torch.cat([shown, hole[:, None].to(shown.dtype) - 0.5], 1).contiguous(memory_format=torch.channels_last)


def continued(pictures: Tensor, hole: Tensor) -> Tensor:
    """Fills the holes of pictures (N, 3, H, W) with colours that continue the known pixels; grey if none is known.

    Averages the known colours at every size down to one pixel; a pixel without any takes its colour from the next
    smaller size. Without this, scattered known pixels would reach the encoder's coarser levels as grey.

    Source: the pull-push algorithm of Gortler et al., *The Lumigraph*, SIGGRAPH 1996.
    """
    known = (~hole)[:, None].to(pictures.dtype)
    levels = [(pictures.masked_fill(hole[:, None], 0), known)]  # sums of colours and of weights, up to a factor
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
        self.mirrored, self.backbone = config.mirrored, Backbone() if config.backbone else None
        known = BACKBONE_CHANNELS if config.backbone else ()
        self.encoder = Pyramid(seen, (1 + config.mirrored) * CHANNELS, known, config.attention)
        self.vector = Linear(seen[-1] * 4 * 4, config.style_size)
        self.mapping = nn.ModuleList(
            [Linear(wide, config.style_size, rate=MAPPING_RATE) for wide in (config.latent_size, config.style_size)]
        )
        self.first = ModulatedConv(seen[-1], made[0], style)
        self.up = nn.ModuleList([ModulatedUp(wide, narrow, style) for wide, narrow in pairwise(made)])
        self.skip = nn.ModuleList([Conv(a, b, 1) for a, b in zip(seen[-2::-1], made[1:], strict=True)])
        self.second = nn.ModuleList([ModulatedConv(c, c, style) for c in made[1:]])
        self.colour = nn.ModuleList([ToColour(c, style) for c in made])
        self.layout = Linear(style, made[0] * 4 * 4)
        nn.init.zeros_(self.layout.weight)  # without effect until trained

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Maps damaged pictures (N, 4, H, W) and codes (N, latent_size) to images float32 (N, 3, H, W)."""
        return self.fill(z, *self.look(x))

    def look(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encodes damaged pictures (N, 4, H, W): a vector (N, style_size), and features from 4x4 up.

        If `mirrored`, the encoder also sees the mirror images: half a face shows what the other half looks like. With
        a `backbone`, it also sees the features of that network, which knows more objects than a training set shows.
        With `attention`, what is seen in one place affects the features of all others.
        """
        known = self.backbone(x[:, :3]) if self.backbone else []
        features = self.encoder(torch.cat([x, x.flip(3)], 1) if self.mirrored else x, known)[::-1]
        return leaky(self.vector(features[0].float().flatten(1))) * GAIN, features

    def style(self, z: Tensor) -> Tensor:
        """Maps codes (N, latent_size) to their half of the style (N, style_size)."""
        w = z * math.sqrt(3)  # scale to unit standard deviation
        for layer in self.mapping:
            w = leaky(layer(w)) * GAIN
        return w

    def styles(self, z: Tensor, vector: Tensor) -> list[Tensor]:
        """Maps codes and the vector of `look` to one style (N, 2 * style_size) per size."""
        return [torch.cat([self.style(z), vector], 1)] * len(self.colour)

    def fill(self, z: Tensor, vector: Tensor, features: list[Tensor]) -> Tensor:
        """Maps codes and the output of `look` to images float32 (N, 3, H, W)."""
        return self.decode(self.styles(z, vector), features)

    def decode(self, styles: list[Tensor], features: list[Tensor]) -> Tensor:
        """Maps one style (N, 2 * style_size) and features per size, from 4x4 up, to images float32 (N, 3, H, W)."""
        layout = self.layout(styles[0]).unflatten(1, (-1, 4, 4))  # lets what is seen on one side affect the other
        x = leaky(self.first(features[0], styles[0]) + layout) * GAIN
        image = self.colour[0](x, styles[0]).float()  # (N, 3, 4, 4)
        layers = zip(self.up, self.skip, self.second, self.colour[1:], styles[1:], features[1:], strict=True)
        for up, skip, second, colour, w, seen in layers:
            x = leaky(up(x, w) + skip(seen)) * GAIN
            x = leaky(second(x, w)) * GAIN
            image = F.interpolate(image, scale_factor=2, mode="bilinear") + colour(x, w).float()
        return image


class Discriminator(nn.Module):
    """Judges composed pictures together with their holes. It has no batch norm, so rows are independent."""

    def __init__(self, config: CoModConfig):
        super().__init__()
        channels = config.discriminator_channels
        self.pyramid = Pyramid(channels, CHANNELS)
        self.last = Conv(channels[-1], channels[-1], 3, gain=GAIN)
        self.hidden = Linear(channels[-1] * 4 * 4, channels[-1])
        self.logit = Linear(channels[-1], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Maps pictures and holes (N, 4, H, W) to logits float32 (N,) and the features (N, C, H, W) of each size."""
        features = self.pyramid(x)
        x = leaky(self.last(features[-1])).float()
        return self.logit(leaky(self.hidden(x.flatten(1))) * GAIN).squeeze(1), features


class Pyramid(nn.Module):
    """Features at each size down to 4x4: strided convolutions that also take the downscaled picture at each size.

    The smallest sizes can take `more` features, of the given channels, from another network. Features with sides in
    `ATTENTION_SIDES` can have attention.
    """

    def __init__(self, channels: tuple[int, ...], inputs: int, more: tuple[int, ...] = (), attention: bool = False):
        super().__init__()
        wide = [inputs + extra for extra in (*[0] * (len(channels) - len(more)), *more)]
        self.look = nn.ModuleList([Conv(w, width, 3) for w, width in zip(wide, channels, strict=True)])
        self.down = nn.ModuleList([Conv(wide, narrow, 4, stride=2, gain=GAIN) for wide, narrow in pairwise(channels)])
        widths = {4 << place: width for place, width in enumerate(reversed(channels))}  # by side
        sides = ATTENTION_SIDES if attention else ()
        self.attention = nn.ModuleDict({str(side): Attention(widths[side], side) for side in sides})

    def forward(self, x: Tensor, more: Sequence[Tensor] = ()) -> list[Tensor]:
        missing, features = len(self.look) - len(more), []
        for index, look in enumerate(self.look):
            x = F.avg_pool2d(x, 2) if index else x
            seen = look(torch.cat([x, more[index - missing].to(x.dtype)], 1) if index >= missing else x)
            seen = leaky(seen + self.down[index - 1](features[-1]) if index else seen)
            side = str(seen.shape[-1])
            features.append(self.attention[side](seen) if side in self.attention else seen)
        return features
