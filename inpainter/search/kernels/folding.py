"""DCGAN's networks with pre-packed weights and a hand-written gradient of the input.

In small batches a convolution spends most of its time rearranging its weights. They never change during a search, yet
PyTorch's convolutions repack them in every step, and again for the gradient. Here they are packed once for both
directions; batch norm, an affine map in evaluation mode, is folded into them; and the backward pass computes only the
gradient of the input. The function is the same up to rounding.

G's layers double the size of their features and D's halve it; each does the opposite in its backward pass. A layer has
coarse features (N, H, W, K), fine features (N, 2 H, 2 W, C), channels last throughout, and weights (K, C, 4, 4), laid
out as in ConvTranspose2d and Conv2d with 4x4 kernels. The linear layers go from 1x1 to 4x4 and back.

On CPUs with oneDNN the maps are its convolutions, elsewhere matrix products. Where the fine side is an image they are
always matrix products, since a convolution to three channels leaves most of a vector register empty.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

aten, onednn = torch.ops.aten, torch.ops.mkldnn
WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
NARROW = 4  # channels; up to this many, a matrix product with overlap-add takes half a convolution's time


class Activation(NamedTuple):
    """An activation: its name in oneDNN, its function, and its backward pass from its value."""

    name: str
    scalars: list[float]
    apply: Callable[[Tensor], Tensor]
    derive: Callable[[Tensor, Tensor], Tensor]  # (gradient, value) to the gradient of the input


NONE = Activation("none", [], lambda x: x, lambda g, y: g)
Map = Callable[[Tensor], Tensor]


class Product:
    """x -> x A + b with a fixed matrix A (I, O) and x (M, I), pre-packed for oneDNN where possible."""

    def __init__(self, matrix: Tensor, bias: Tensor | None = None):
        self.bias = bias
        self.weight = matrix.t().contiguous()  # (O, I)
        # oneDNN's public functions repack the weights in every call; torch.compile uses these instead.
        self.packed = can_pack(matrix)
        if self.packed:
            self.weight = onednn._reorder_linear_weight(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) == 1:  # a single row is summed in another order, so a result would depend on its batch
            return self(x.expand(2, -1))[:1]
        if self.packed:
            return onednn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return F.linear(x, self.weight, self.bias)


def can_pack(weight: Tensor) -> bool:
    """Returns whether oneDNN is available and supports this dtype on this CPU."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not all(hasattr(onednn, name) for name in ("_linear_pointwise", "_convolution_transpose_pointwise")):
        return False
    return weight.dtype == torch.float32 or (weight.dtype == torch.bfloat16 and onednn._is_mkldnn_bf16_supported())


def enlarging(weight: Tensor, bias: Tensor | None, activation: Activation, linear: bool) -> Map:
    """Builds the map (N, H, W, K) to (N, 2 H, 2 W, C), or (N, 1, 1, K) to (N, 4, 4, C) if linear.

    Args:
        weight: (K, C, 4, 4).
        bias: (C,), or None for zero.
        activation: applied to the output.
    """
    k, c = weight.shape[:2]
    if not linear and c > NARROW and can_pack(weight):
        shape = [1, k, 4, 4]  # an example input; other batches and sizes use the same layout
        packed = onednn._reorder_convolution_transpose_weight(
            weight.contiguous(), [1, 1], [0, 0], [2, 2], [1, 1], 1, shape
        )
        settings = (bias, [1, 1], [0, 0], [2, 2], [1, 1], 1, activation.name, activation.scalars, "")
        return convolved(onednn._convolution_transpose_pointwise, packed, settings)
    matrix = weight.permute(0, 2, 3, 1).flatten(1)  # (K, 16 C)
    if linear:
        product = Product(matrix, None if bias is None else bias.repeat(16))
        return lambda x: activation.apply(product(x.flatten(1)).view(-1, 4, 4, c))
    product = Product(matrix)
    start = weight.new_zeros(c) if bias is None else bias
    start = start.float() if c <= NARROW else start  # images need full precision, and bfloat16 sums are slow

    def enlarge(x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        fine = start.expand(n, 2 * h + 2, 2 * w + 2, -1).contiguous()
        return activation.apply(overlap_add(product(x.reshape(-1, k)).to(fine.dtype), fine)[:, 1:-1, 1:-1])

    return enlarge


def reducing(weight: Tensor, bias: Tensor | None, activation: Activation, linear: bool) -> Map:
    """Builds the map (N, 2 H, 2 W, C) to (N, H, W, K), or (N, 4, 4, C) to (N, 1, 1, K) if linear; bias (K,)."""
    k, c = weight.shape[:2]
    if not linear and can_pack(weight):
        packed = onednn._reorder_convolution_weight(weight.contiguous(), [1, 1], [2, 2], [1, 1], 1, [1, c, 8, 8])
        settings = (bias, [1, 1], [2, 2], [1, 1], 1, activation.name, activation.scalars, "")
        return convolved(onednn._convolution_pointwise, packed, settings)
    product = Product(weight.permute(2, 3, 1, 0).reshape(-1, k), bias)  # (16 C, K)
    if linear:
        return lambda x: activation.apply(product(x.flatten(1))[:, None, None])

    def reduce(x: Tensor) -> Tensor:
        n, height, width, _ = x.shape
        rows = product(windows(F.pad(x, (0, 0, 1, 1, 1, 1))))
        return activation.apply(rows.view(n, height // 2, width // 2, k))

    return reduce


def convolved(convolution: Callable, packed: Tensor, settings: tuple) -> Map:
    """Wraps a convolution with packed weights as a map of channels-last features."""
    return lambda x: convolution(x.permute(0, 3, 1, 2), packed, *settings).permute(0, 2, 3, 1)


class Layer:
    """A linear map, its activation, and its transpose for the backward pass.

    Args:
        weight: (K, C, 4, 4).
        bias: (C,) if the layer enlarges, (K,) if it reduces.
        enlarges: whether the output is the fine side.
        linear: whether the coarse side is a single pixel, a code or a logit. Linear layers stay in float32.
        dtype: of a convolution's features and gradients.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        activation: Activation,
        enlarges: bool,
        linear: bool,
        dtype: torch.dtype,
    ):
        self.dtype = torch.float32 if linear else dtype
        self.derive = activation.derive
        there, back = (enlarging, reducing) if enlarges else (reducing, enlarging)
        self.map = there(weight.to(self.dtype), bias.to(self.dtype), activation, linear)
        self.transposed = back(weight.to(self.dtype), None, NONE, linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x.to(self.dtype))

    def backward(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the input, given the output y and its gradient."""
        return self.transposed(self.derive(gradient.to(y.dtype), y).to(self.dtype))


class Chain:
    """G or D, or some consecutive layers of one, as a differentiable map with features of `dtype`.

    Takes and returns float32 (N, C, H, W) in any memory layout; codes and logits have H = W = 1.
    """

    def __init__(self, network: nn.Sequential, dtype: torch.dtype):
        self.layers = fold(network, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return Through.apply(x, self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns the input x (N, H, W, C) followed by the output of each layer."""
        values = [x]
        for layer in self.layers:
            values.append(layer.forward(values[-1]))
        return values

    def backward(self, gradient: Tensor, values: list[Tensor]) -> Tensor:
        """Returns the gradient of the input, given that of the output and the values from `forward`."""
        for layer, value in zip(reversed(self.layers), reversed(values), strict=False):
            gradient = layer.backward(gradient, value)
        return gradient


class Through(torch.autograd.Function):
    """Exposes a chain's backward pass to autograd."""

    @staticmethod
    def forward(context, x: Tensor, chain: Chain) -> Tensor:
        context.chain, context.values = chain, chain.forward(x.detach().permute(0, 2, 3, 1))
        return context.values[-1].permute(0, 3, 1, 2).float()

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = context.chain.backward(gradient.permute(0, 2, 3, 1), context.values)
        return gradient.permute(0, 3, 1, 2).float(), None


def windows(padded: Tensor) -> Tensor:
    """Extracts the 4x4 windows at stride 2 of (N, 2 H + 2, 2 W + 2, C), one per row: (N H W, 16 C)."""
    n, height, width, c = padded.shape
    along_n, along_h, along_w, _ = padded.stride()
    size = (n, height // 2 - 1, width // 2 - 1, 4, 4 * c)  # the four pixels of a window's row are adjacent
    return padded.as_strided(size, (along_n, 2 * along_h, 2 * along_w, along_h, 1)).reshape(-1, 16 * c)


def overlap_add(rows: Tensor, out: Tensor) -> Tensor:
    """Adds each row of (N H W, 16 C) to its window of `out` (N, 2 H + 2, 2 W + 2, C): the transpose of `windows`."""
    n, height, width, c = out.shape
    h, w = height // 2 - 1, width // 2 - 1
    # A window is 2x2 blocks of 2x2 pixels; blocks at the same position in different windows do not overlap.
    rows = rows.view(n, h, w, 2, 2, 2, 2 * c)  # block row, pixel row, block column, pixels
    blocks = out.view(n, h + 1, 2, w + 1, 2 * c)
    for a in (0, 1):
        for b in (0, 1):
            blocks[:, a : a + h, :, b : b + w] += rows[:, :, :, a, :, b].transpose(2, 3)
    return out


def activation_of(module: nn.Module | None) -> Activation:
    """Returns the `Activation` for a module."""
    match module:
        case nn.ReLU():
            return Activation("relu", [], F.relu, lambda g, y: aten.threshold_backward(g, y, 0))
        case nn.LeakyReLU(negative_slope=slope):
            return Activation(
                "leaky_relu",
                [slope],
                lambda x: F.leaky_relu(x, slope),
                lambda g, y: aten.leaky_relu_backward(g, y, slope, True),
            )
        case nn.Tanh():
            return Activation("tanh", [], torch.tanh, aten.tanh_backward)
        case None:
            return NONE
    raise TypeError(f"folding does not support {type(module).__name__}.")


def fold(network: nn.Sequential, dtype: torch.dtype) -> list[Layer]:
    """Builds one layer per weighted module of G or D, including the batch norm and activation that follow it."""
    modules = [module for module in network if not isinstance(module, (nn.Flatten, nn.Unflatten))]
    starts = [index for index, module in enumerate(modules) if isinstance(module, WEIGHTED)]
    layers = []
    for start, end in pairwise([*starts, len(modules)]):
        module, *others = modules[start:end]
        norm = next((other for other in others if isinstance(other, nn.BatchNorm2d)), None)
        activation = next((other for other in others if other is not norm), None)
        linear = isinstance(module, nn.Linear)
        enlarges = isinstance(module, nn.ConvTranspose2d) or (linear and start == 0)
        weight = module.weight.detach().double()
        if linear:  # G's (C 4 4, K), D's (K, C 4 4)
            weight = (weight.t() if enlarges else weight).unflatten(1, (-1, 4, 4))
        channels = weight.shape[1 if enlarges else 0]
        bias = weight.new_zeros(channels) if module.bias is None else module.bias.detach().double()
        if norm is not None:
            scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
            bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()
            weight = weight * scale.view((1, -1, 1, 1) if enlarges else (-1, 1, 1, 1))
        layers.append(Layer(weight, bias, activation_of(activation), enlarges, linear, dtype))
    return layers


_chains: WeakKeyDictionary[nn.Sequential, dict] = WeakKeyDictionary()


def chain(network: nn.Sequential, dtype: torch.dtype, first: int = 0, end: int | None = None) -> Chain:
    """Returns `Chain(network[first:end], dtype)`, cached until the network's weights change."""
    state = [*network.parameters(), *network.buffers()]
    version = [(t.data_ptr(), None if t.is_inference() else t._version) for t in state]  # inference tensors have none
    known = _chains.setdefault(network, {})
    key = (dtype, first, end)
    if key not in known or known[key][0] != version:
        with torch.no_grad():
            known[key] = (version, Chain(network[first:end], dtype))
    return known[key][1]
