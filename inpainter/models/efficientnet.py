"""EfficientNet-Lite, a small network trained on ImageNet, with fixed weights and batch norm folded into them.

A few thousand pictures do not teach a generator what a wheel is; this network knows. A CoMod's encoder may take its
features along (`Backbone`), and `train` uses them for losses and scores.

Source: Tan and Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, ICML 2019; the Lite
variant has ReLU6 for swish and no squeeze-and-excitation.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The seven stages: side of the filters, stride of the first block, expansion; all other blocks have stride 1.
STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
STEM, HEAD = 32, 1280  # channels before and after the blocks

LITE0_BLOCKS = ((1, 16), (2, 24), (2, 40), (3, 80), (3, 112), (4, 192), (1, 320))  # number and width per stage
BACKBONE_SIDE = 128  # pixels of the picture that a backbone sees
BACKBONE_BLOCKS = (2, 4, 10, 15)  # whose outputs it returns, at strides 4, 8, 16 and 32
BACKBONE_CHANNELS = (24, 40, 112, 320)


class FixedConv(nn.Module):
    """A convolution whose tensors are buffers, which no optimiser changes; the picture is padded as by TensorFlow."""

    def __init__(self, wide: int, narrow: int, side: int, stride: int = 1, groups: int = 1):
        super().__init__()
        self.register_buffer("weight", torch.zeros(narrow, wide // groups, side, side))
        self.register_buffer("bias", torch.zeros(narrow))
        self.stride, self.groups = stride, groups
        before, after = (side - stride) // 2, side - stride - (side - stride) // 2  # stride 2: less at the top and left
        self.padding = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self.padding) if any(self.padding) else x
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype), self.stride, groups=self.groups)


class Block(nn.Module):
    """Widens the features, filters each channel, narrows them; a residual connection where the shape is kept."""

    def __init__(self, wide: int, narrow: int, side: int, stride: int, expansion: int):
        super().__init__()
        inner = expansion * wide
        self.expand = FixedConv(wide, inner, 1) if expansion > 1 else None
        self.filter = FixedConv(inner, inner, side, stride, groups=inner)
        self.project = FixedConv(inner, narrow, 1)
        self.residual = stride == 1 and wide == narrow

    def forward(self, x: Tensor) -> Tensor:
        inner = relu6(self.expand(x)) if self.expand else x
        y = self.project(relu6(self.filter(inner)))
        return x + y if self.residual else y


class EfficientNet(nn.Module):
    """The stem and the first blocks; `stages` lists (number of blocks, width)."""

    def __init__(self, stages: tuple[tuple[int, int], ...] = LITE0_BLOCKS):
        super().__init__()
        self.stem, self.blocks, wide = FixedConv(3, STEM, 3, stride=2), nn.ModuleList(), STEM
        for (number, width), (side, stride, expansion) in zip(stages, STAGES, strict=True):
            for index in range(number):
                self.blocks.append(Block(wide, width, side, 1 if index else stride, expansion))
                wide = width

    def outputs(self, x: Tensor) -> Iterator[Tensor]:
        """Yields every block's features (N, C, h, w) of images (N, 3, H, W), nominally in [-1, 1]."""
        x = relu6(self.stem(x))
        for block in self.blocks:
            x = block(x)
            yield x


class Backbone(EfficientNet):
    """EfficientNet-Lite0 as a part of a generator's encoder."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps images (N, 3, H, W) to features of 32x32, 16x16, 8x8 and 4x4 pixels, each row of unit mean square."""
        if x.shape[-1] != BACKBONE_SIDE:
            mode = "bilinear" if x.shape[-1] < BACKBONE_SIDE else "area"
            x = F.interpolate(x, size=(BACKBONE_SIDE, BACKBONE_SIDE), mode=mode)
        return [unit(features) for index, features in enumerate(self.outputs(x)) if index in BACKBONE_BLOCKS]


def relu6(x: Tensor) -> Tensor:
    """Clamps x to [0, 6], in place; not in an export, which would spend a third of its time undoing such writes."""
    return F.relu6(x, inplace=not torch.compiler.is_exporting())


def unit(features: Tensor) -> Tensor:
    """Scales each row of features (N, C, h, w) to unit root mean square."""
    return features * torch.rsqrt(features.detach().square().mean((1, 2, 3), keepdim=True) + 1e-6)
