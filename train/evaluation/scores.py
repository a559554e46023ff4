"""Measures the quality, diversity and novelty of a generator's samples, offline.

Everything is measured in features of EfficientNet-Lite0 (`train.looks.features`). The distances are not FIDs, which are
defined with Inception-v3, and are comparable only with each other, for equal numbers of pictures. With an internet
connection, or if the weights of Inception-v3 are installed, --fid also measures the FID.
"""

import argparse
import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inpainter import hub, metrics
from inpainter.devices import device_from_name
from inpainter.hub.records import amend_training
from inpainter.images import image_grid, to_uint8
from inpainter.models import LatentModel

from ..data.loading import load_images, split
from ..looks import features
from ..looks.features import Network
from ..loop.options import add_held_out, number

logger = logging.getLogger(__name__)

GRID_NAME = "nearest.png"
GRID_PAIRS = 24
BATCH = 100  # samples generated at once


@dataclass(frozen=True)
class Score:
    """Scores of a generator's samples, relative to training pictures.

    Attributes:
        feature_distance: Fréchet distance between samples and held-out pictures; lower is better.
        feature_distance_of_training: the same for as many training pictures: the floor.
        diversity: mean distance between two samples, relative to two training pictures. 1: as diverse; near 0: the
            samples resemble each other.
        memorisation: median distance from a sample to the nearest training picture, relative to that from a held-out
            picture. Around 1: as novel as unseen pictures; near 0: copies.
        samples, training_images, held_out: numbers of pictures compared.
        network: source of the features.
        fid: Fréchet inception distance between samples and training pictures; None if not measured.
    """

    feature_distance: float
    feature_distance_of_training: float
    diversity: float
    memorisation: float
    samples: int
    training_images: int
    held_out: int
    network: str = features.NETWORK
    fid: float | None = None


@dataclass(frozen=True)
class Reference:
    """Features of the real pictures, computed once for any number of models or snapshots.

    Attributes:
        train: (T, D), of the training pictures, which samples may copy.
        held_out: (H, D), of held-out pictures, which samples should resemble.
    """

    train: NDArray[np.float32]
    held_out: NDArray[np.float32]

    @classmethod
    def of(cls, network: Network, train: Tensor, held_out: Tensor) -> Self:
        """Computes features of uint8 pictures (N, 3, H, W), at least two each, cached in the user's cache directory."""
        for name, images in (("training", train), ("held-out", held_out)):
            if len(images) < 2:
                raise ValueError(f"a score needs at least 2 {name} pictures, got {len(images)}.")
        return cls(features.kept(network, train), features.kept(network, held_out))

    def some_train(self, count: int) -> NDArray[np.float32]:
        """Returns `count` of the training pictures, or all if there are fewer; always the same ones."""
        order = np.random.default_rng(0).permutation(len(self.train))
        return self.train[order[:count]]


def score(
    model: LatentModel, network: Network, reference: Reference, samples: int = 2000, seed: int = 0
) -> tuple[Score, Tensor, NDArray[np.int64], NDArray[np.float64]]:
    """Scores a model on its device.

    Args:
        model: of any family, in evaluation mode.
        network: from `features.efficientnet_lite0`, the same as for the reference.
        reference: features of the real pictures.
        samples: number of samples, at least 2.
        seed: of the samples' codes.

    Returns:
        The score; the samples, uint8 (N, 3, H, W); and for each the index of the nearest training picture and the
        distance to it, (N,).

    Raises:
        ValueError: for fewer than 2 samples, or if most held-out pictures are also training pictures.
    """
    if samples < 2:
        raise ValueError(f"a score needs at least 2 samples, got {samples}.")
    images = sample(model, samples, seed)
    drawn = network(images)
    alike = reference.some_train(samples)
    index, distance = metrics.nearest(drawn, reference.train)
    _, unseen = metrics.nearest(reference.held_out, reference.train)
    spread = metrics.mean_pairwise_distance(alike)
    if spread == 0 or np.median(unseen) == 0:
        raise ValueError("cannot score: most held-out pictures are also among the training pictures.")
    measured = Score(
        feature_distance=metrics.frechet_distance(drawn, reference.held_out),
        feature_distance_of_training=metrics.frechet_distance(alike, reference.held_out),
        diversity=metrics.mean_pairwise_distance(drawn) / spread,
        memorisation=float(np.median(distance) / np.median(unseen)),
        samples=samples,
        training_images=len(reference.train),
        held_out=len(reference.held_out),
    )
    return measured, images, index, distance


@torch.inference_mode()
def sample(model: LatentModel, count: int, seed: int) -> Tensor:
    """Draws images uint8 (N, 3, H, W) from a model."""
    device = next(model.parameters()).device
    codes = model.sample_latents(count, torch.Generator().manual_seed(seed))
    images = np.concatenate([to_uint8(model.generate(z.to(device))) for z in codes.split(BATCH)])
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def closest_pairs(images: Tensor, train: Tensor, index: NDArray, distance: NDArray) -> Image.Image:
    """Lays out the samples closest to a training picture, closest first: sample left, training picture right."""
    order = np.argsort(distance, kind="stable")[:GRID_PAIRS]
    pairs = torch.cat([images[order], train[index[order]]], dim=3).permute(0, 2, 3, 1).numpy()  # (N, H, 2W, 3)
    return image_grid(pairs.repeat(2, axis=1).repeat(2, axis=2), columns=4, gap=8)  # every pixel twice as large


def text(measured: Score) -> str:
    """Formats the scores for people."""
    lines = [
        f"feature distance ({measured.network}), {measured.samples} samples to {measured.held_out} held-out "
        f"pictures: {measured.feature_distance:.2f}",
        f"the same for training pictures (the floor): {measured.feature_distance_of_training:.2f}",
        f"diversity, relative to training pictures: {measured.diversity:.3f}",
        f"distance to the nearest of {measured.training_images} training pictures, "
        f"relative to held-out pictures: {measured.memorisation:.3f}",
    ]
    if measured.fid is not None:
        lines.append(
            f"FID ({features.INCEPTION}), {measured.samples} samples to {measured.training_images} training pictures: "
            f"{measured.fid:.2f}"
        )
    return "\n".join(lines)


def record_score(folder: Path, measured: Score, data: str) -> None:
    """Writes scores to `training.sample_quality` in a model folder's configuration, for its model card."""
    found = {k: v for k, v in dataclasses.asdict(measured).items() if v is not None}
    values = {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}
    amend_training(folder, sample_quality={"data": data, **values})


def warn_if_seen(model: LatentModel, training_images: int) -> None:
    """Warns if a model was trained on a different number of pictures than are now assumed."""
    trained_on = model.config.training.get("training_images", training_images)
    if trained_on != training_images:
        logger.warning(
            "the model was trained on %s pictures, but there are %d without the held-out ones; if it was trained on "
            "some of those, its score is too good.",
            trained_on,
            training_images,
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="model folder, bundled model or Hub id")
    parser.add_argument("--data", required=True, help="the training pictures: whatever `gan --data` accepts")
    add_held_out(parser)
    parser.add_argument(
        "--training-images",
        type=number(int, 2),
        help="compare with only this many of the others, chosen at random (default all)",
    )
    parser.add_argument("--samples", type=number(int, 2), default=2000, help="samples to draw (default %(default)s)")
    parser.add_argument("--seed", type=number(int, 0), default=0, help="of the samples")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--out", type=Path, help=f"folder for {GRID_NAME}: samples next to the closest training pictures"
    )
    parser.add_argument(
        "--fid",
        action="store_true",
        help="also measure the FID to the training pictures (pip install torch-fidelity, which downloads weights)",
    )
    parser.add_argument("--record", action="store_true", help="write the scores to the model folder's configuration")


def main(arguments: argparse.Namespace) -> None:
    device = device_from_name(arguments.device)
    folder = hub.locate(arguments.model)
    model = hub.load(folder).to(device, memory_format=torch.channels_last)
    network = features.efficientnet_lite0(device)
    inception = features.inception_v3(device) if arguments.fid else None  # first, as it may be missing
    train, held_out = split(load_images(arguments.data, model.config.image_size), arguments.held_out)
    warn_if_seen(model, len(train))
    if arguments.training_images:
        train = train[
            torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[: arguments.training_images]
        ]
    reference = Reference.of(network, train, held_out)
    measured, images, index, distance = score(model, network, reference, arguments.samples, arguments.seed)
    if inception is not None:
        measured = dataclasses.replace(measured, fid=metrics.frechet_distance(inception(images), inception(train)))
    print(text(measured))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        closest_pairs(images, train, index, distance).save(arguments.out / GRID_NAME)
    if arguments.record:
        record_score(folder, measured, Path(arguments.data).name)
