"""DCGAN's networks as chains of matrix products, with the gradient of the input written out.

In small batches most of a convolution's time goes into rearranging its weights. In a search they never
change, yet PyTorch's convolutions lay them out anew in every step, and once more for the gradient. Here
a layer is one matrix product whose weights are laid out once, for both directions; batch norm, in
evaluation mode an affine map, is folded into them; and the backward pass computes the gradient of the
input alone. It is the same function, rounded in another order.

G's layers double the size of their features, D's halve it; both run the other way in their backward
pass. A layer has coarse features (N, H, W, K), fine ones (N, 2 H, 2 W, C), channels last throughout,
and weights (K, C, 4, 4): what ConvTranspose2d and Conv2d with 4x4 kernels call theirs. The linear layers
are the case of one window, from 1x1 to 4x4.
"""

from collections.abc import Callable
from itertools import pairwise
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

aten = torch.ops.aten
WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class Product:
    """x -> x A + b with a fixed matrix A (I, O) and x (M, I), laid out once for the library that multiplies."""

    def __init__(self, matrix: Tensor, bias: Tensor | None = None):
        self.bias = bias
        self.weight = matrix.t().contiguous()  # (O, I)
        # The public functions of oneDNN rearrange the weights in every call; this is what torch.compile uses.
        self.packed = can_pack(matrix)
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return F.linear(x, self.weight, self.bias)


def can_pack(matrix: Tensor) -> bool:
    """Whether oneDNN is there, and multiplies this kind of number on this processor."""
    ops = torch.ops.mkldnn
    if matrix.device.type != "cpu" or not torch.backends.mkldnn.is_available() or not hasattr(ops, "_linear_pointwise"):
        return False
    return matrix.dtype == torch.float32 or (matrix.dtype == torch.bfloat16 and ops._is_mkldnn_bf16_supported())


class Layer:
    """A convolution with the activation that follows it; `backward` takes the gradient and value of its output.

    Args:
        weight: (K, C, 4, 4).
        bias: (C,) of a layer that enlarges, (K,) of one that reduces.
        padding: 1; 0 for a linear layer.
        activation: the module, or None.
    """

    bias_in_product = False

    def __init__(self, weight: Tensor, bias: Tensor, padding: int, activation: nn.Module | None):
        matrix = weight.permute(0, 2, 3, 1).flatten(1)  # (K, 16 C)
        self.enlarge = Product(matrix)
        self.reduce = Product(matrix.t(), bias if self.bias_in_product else None)
        self.bias, self.padding = bias, padding
        self.activate, self.derive = activation_pair(activation)

    def crop(self, padded: Tensor) -> Tensor:
        return padded[:, 1:-1, 1:-1] if self.padding else padded


class Enlarge(Layer):
    """(N, H, W, K) to (N, 2 H, 2 W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, k = x.shape
        fine = self.bias.expand(n, 2 * h + 2, 2 * w + 2, -1).contiguous()
        return self.activate(self.crop(overlap_add(self.enlarge(x.reshape(-1, k)), fine)))

    def backward(self, gradient: Tensor, y: Tensor) -> Tensor:
        n, height, width, c = y.shape
        padded = y.new_zeros(n, height + 2 * self.padding, width + 2 * self.padding, c)
        self.derive(gradient, y, self.crop(padded))
        return self.reduce(windows(padded)).view(n, padded.shape[1] // 2 - 1, padded.shape[2] // 2 - 1, -1)


class Reduce(Layer):
    """(N, 2 H, 2 W, C) to (N, H, W, K)."""

    bias_in_product = True

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, *[self.padding] * 4))
        n, height, width, _ = padded.shape
        return self.activate(self.reduce(windows(padded)).view(n, height // 2 - 1, width // 2 - 1, -1))

    def backward(self, gradient: Tensor, y: Tensor) -> Tensor:
        n, h, w, k = y.shape
        rows = self.enlarge(self.derive(gradient, y, torch.empty_like(y)).view(-1, k))  # (N H W, 16 C)
        return self.crop(overlap_add(rows, y.new_zeros(n, 2 * h + 2, 2 * w + 2, rows.shape[1] // 16)))


class Chain:
    """G or D with weights of `dtype`; gradients go through `forward` only by way of `backward`."""

    def __init__(self, network: nn.Sequential, dtype: torch.dtype):
        self.dtype = dtype
        self.layers = fold(network, dtype)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The values after each layer of x (N, H, W, C), x itself first; codes and logits have H = W = 1."""
        values = [x.to(self.dtype)]
        for layer in self.layers:
            values.append(layer.forward(values[-1]))
        return values

    def backward(self, gradient: Tensor, values: list[Tensor]) -> Tensor:
        """The gradient of the input, from that of the output and what `forward` returned."""
        gradient = gradient.to(self.dtype)
        for layer, value in zip(reversed(self.layers), reversed(values), strict=False):
            gradient = layer.backward(gradient, value)
        return gradient


def windows(padded: Tensor) -> Tensor:
    """The 4x4 windows at stride 2 of (N, 2 H + 2, 2 W + 2, C), one a row: (N H W, 16 C)."""
    n, height, width, c = padded.shape
    along_n, along_h, along_w, _ = padded.stride()
    size = (n, height // 2 - 1, width // 2 - 1, 4, 4 * c)  # the four pixels of a window's row are adjacent
    return padded.as_strided(size, (along_n, 2 * along_h, 2 * along_w, along_h, 1)).reshape(-1, 16 * c)


def overlap_add(rows: Tensor, out: Tensor) -> Tensor:
    """Adds each row of (N H W, 16 C) to its window of `out` (N, 2 H + 2, 2 W + 2, C): `windows` transposed."""
    n, height, width, c = out.shape
    h, w = height // 2 - 1, width // 2 - 1
    # A window is 2x2 blocks of 2x2 pixels, and blocks of one place in all windows do not overlap.
    rows = rows.view(n, h, w, 2, 2, 2, 2 * c)  # block row, pixel row, block column, pixels
    blocks = out.view(n, h + 1, 2, w + 1, 2 * c)
    for a in (0, 1):
        for b in (0, 1):
            blocks[:, a : a + h, :, b : b + w] += rows[:, :, :, a, :, b].transpose(2, 3)
    return out


Activate = Callable[[Tensor], Tensor]
Derive = Callable[[Tensor, Tensor, Tensor], Tensor]


def activation_pair(module: nn.Module | None) -> tuple[Activate, Derive]:
    """An activation, and its backward pass from its value: (gradient, value, out) to out."""
    match module:
        case nn.ReLU():
            return lambda x: x.clamp_min(0), lambda g, y, out: aten.threshold_backward(g, y, 0, grad_input=out)
        case nn.LeakyReLU(negative_slope=slope):
            return (
                lambda x: F.leaky_relu(x, slope),
                lambda g, y, out: aten.leaky_relu_backward(g, y, slope, True, grad_input=out),
            )
        case nn.Tanh():
            return torch.tanh, lambda g, y, out: aten.tanh_backward(g, y, grad_input=out)
        case None:
            return lambda x: x, lambda g, y, out: out.copy_(g)
    raise TypeError(f"no folded form of {type(module).__name__} is known.")


def fold(network: nn.Sequential, dtype: torch.dtype) -> list[Layer]:
    """One layer for each weighted module of G or D, with the batch norm and the activation that follow it."""
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
        kind = Enlarge if enlarges else Reduce
        layers.append(kind(weight.to(dtype), bias.to(dtype), 0 if linear else 1, activation))
    return layers


_chains: WeakKeyDictionary[nn.Sequential, dict] = WeakKeyDictionary()


def chain(network: nn.Sequential, dtype: torch.dtype) -> Chain:
    """`Chain(network, dtype)`, made once for as long as the network and its weights stay as they are."""
    state = [*network.parameters(), *network.buffers()]
    version = [(t.data_ptr(), None if t.is_inference() else t._version) for t in state]  # such have none
    known = _chains.setdefault(network, {})
    if dtype not in known or known[dtype][0] != version:
        with torch.no_grad():
            known[dtype] = (version, Chain(network, dtype))
    return known[dtype][1]
