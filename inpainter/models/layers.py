"""Layers of the CoMod networks: equalised learning rates and style-modulated convolutions.

Sources: Karras et al., *Progressive Growing of GANs*, ICLR 2018, section 4.1 (equalised learning rates); Karras et al.,
*Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020, section 2.2 (modulation and demodulation).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLUs
HEAD = 32  # channels of an attention head
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # factor that preserves the variance through a leaky ReLU


class Equalised(nn.Module):
    """Base class of layers with an equalised learning rate: the weight is multiplied by `scale` when it is used."""

    weight: nn.Parameter
    scale: float

    def prepared(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Returns `prepare(dtype)`, computed once in evaluation mode: a search runs each layer at every step.

        In training mode nothing is kept, even for weights without gradients: torch's fused optimisers change a weight
        without raising its version. Nor in inference mode, whose tensors no search could use afterwards.
        """
        weight, transient = self.weight, torch.is_inference_mode_enabled() or torch.compiler.is_compiling()
        if self.training or weight.requires_grad or weight.is_inference() or transient:
            return self.prepare(dtype)
        kept = self.__dict__.get("_kept")
        # Holding on to the weight's memory makes its address a safe key: no other tensor can be given it.
        if not kept or kept[0].data_ptr() != weight.data_ptr() or kept[1:3] != (weight._version, dtype):
            kept = self.__dict__["_kept"] = (weight.detach(), weight._version, dtype, self.prepare(dtype))
        return kept[3]

    def prepare(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Returns everything that the layer computes from its weight alone."""
        return ((self.weight * self.scale).to(dtype),)


class Linear(Equalised):
    """A linear layer."""

    def __init__(self, wide: int, narrow: int, bias: float = 0.0, rate: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(normal(narrow, wide, rate=rate))
        self.bias = nn.Parameter(torch.full((narrow,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(wide), rate

    def forward(self, x: Tensor) -> Tensor:
        (weight,) = self.prepared(self.weight.dtype)
        return F.linear(x, weight, self.bias * self.rate)


class Conv(Equalised):
    """A convolution. `gain` multiplies the standard deviation of its output."""

    def __init__(self, wide: int, narrow: int, side: int, stride: int = 1, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(normal(narrow, wide, side, side))
        self.bias = nn.Parameter(torch.zeros(narrow))
        self.scale, self.stride, self.padding = gain / math.sqrt(wide * side * side), stride, (side - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        (weight,) = self.prepared(x.dtype)
        return F.conv2d(x, weight, self.bias.to(x.dtype), self.stride, self.padding)


class Attention(nn.Module):
    """A transformer block over the pixels of features (N, channels, side, side). Without effect until trained.

    Source: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017; with normalisation before each part.
    """

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.heads = 1 if channels % HEAD else channels // HEAD
        self.position = nn.Parameter(normal(channels, side, side))
        self.ask = Conv(channels, 3 * channels, 1)  # to queries, keys and values
        self.answer = Conv(channels, channels, 1)
        self.wide = Conv(channels, 2 * channels, 1, gain=GAIN)
        self.narrow = Conv(2 * channels, channels, 1)
        for last in (self.answer, self.narrow):
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        asked = self.ask(normalised(x) + self.position.to(x.dtype)).flatten(2).unflatten(1, (3, self.heads, -1))
        query, key, value = asked.transpose(-1, -2).unbind(1)  # each (N, heads, pixels, channels per head)
        found = F.scaled_dot_product_attention(query, key, value)
        x = x + self.answer(found.transpose(-1, -2).reshape(x.shape))
        return x + self.narrow(leaky(self.wide(normalised(x))))


class Modulated(Equalised):
    """Base class of modulated convolutions.

    Modulates the input and demodulates the output. This is equivalent to modulating the weights, but needs only one
    convolution for the whole batch.
    """

    def __init__(self, shape: tuple[int, ...], wide: int, narrow: int, style: int, taps: int):
        super().__init__()
        self.weight = nn.Parameter(normal(*shape))
        self.bias = nn.Parameter(torch.zeros(narrow))
        self.affine = Linear(style, wide, bias=1.0)
        self.scale = 1 / math.sqrt(wide * taps)  # taps: weights per input channel that reach one output pixel


class ModulatedConv(Modulated):
    """A modulated 3x3 convolution."""

    def __init__(self, wide: int, narrow: int, style: int):
        super().__init__((narrow, wide, 3, 3), wide, narrow, style, taps=9)

    def prepare(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        weight = self.weight * self.scale
        return weight.to(dtype), weight.square().sum((2, 3)).t()  # power (wide, narrow)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        s, (weight, power) = self.affine(style), self.prepared(x.dtype)
        x = F.conv2d(scaled(x, s), weight, padding=1)
        return demodulated(x, s, power, self.bias)


class ModulatedUp(Modulated):
    """A transposed 4x4 convolution that doubles the size, then a blur that removes dots two pixels apart."""

    def __init__(self, wide: int, narrow: int, style: int):
        super().__init__((wide, narrow, 4, 4), wide, narrow, style, taps=4)

    def prepare(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        weight = self.weight * self.scale
        return weight.to(dtype), weight.square().sum((2, 3)) / 4  # power; an output pixel sees a quarter of the taps

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        s, (weight, power) = self.affine(style), self.prepared(x.dtype)
        x = F.conv_transpose2d(scaled(x, s), weight, stride=2, padding=1)
        return demodulated(blurred(x), s, power, self.bias)


class ToColour(Modulated):
    """A modulated 1x1 convolution to RGB, not demodulated."""

    def __init__(self, wide: int, style: int):
        super().__init__((3, wide, 1, 1), wide, 3, style, taps=1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        (weight,) = self.prepared(x.dtype)
        return F.conv2d(scaled(x, self.affine(style)), weight, self.bias.to(x.dtype))


def normal(*shape: int, rate: float = 1.0) -> Tensor:
    """Returns torch.randn(shape) / rate; on the meta device, used for loading, skips the draw (the first takes 5 s)."""
    weights = torch.empty(shape)
    return weights if weights.is_meta else weights.normal_().div_(rate)


def normalised(x: Tensor) -> Tensor:
    """Scales each pixel of x (N, C, H, W) to a root mean square of 1 over the channels."""
    return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-6).to(x.dtype)


def scaled(x: Tensor, s: Tensor) -> Tensor:
    return x * s[:, :, None, None].to(x.dtype)


def blurred(x: Tensor) -> Tensor:
    """Convolves each channel of x (N, C, H, W) with [1, 2, 1] / 4 in both directions, zero beyond the edge."""
    line = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device) / 4
    return F.conv2d(x, line.outer(line).expand(x.shape[1], 1, 3, 3).contiguous(), padding=1, groups=x.shape[1])


def demodulated(x: Tensor, s: Tensor, power: Tensor, bias: Tensor) -> Tensor:
    """Scales x (N, C, H, W) to unit standard deviation, given unit inputs that were scaled by s (N, wide)."""
    factor = torch.rsqrt(s.square() @ power + 1e-8)  # (N, C)
    return torch.addcmul(bias.to(x.dtype)[:, None, None], x, factor[:, :, None, None].to(x.dtype))


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)
