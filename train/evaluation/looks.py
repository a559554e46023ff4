"""Measures how a model's fillings look: told from intact pictures or not, eyes in faces, how much they differ.

The first pictures are filled, as many next ones are the intact side that fillings are told from. Figures are of
composed pictures, in features of EfficientNet-Lite2, which no training uses: not an FID, and comparable only for
equal numbers of pictures. A model of more than 64 pixels is measured again on its fillings reduced to 64.
"""

import argparse
import csv
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inpainter import Inpainter, masks, metrics
from inpainter.images import to_tensor
from inpainter.results import compose

from ..data.loading import load_images
from ..loop.options import number
from . import faces, features, realism
from .cells import digest
from .features import Network
from .methods import weights_digest

logger = logging.getLogger(__name__)

SMALL = 64  # pixels a side, of the papers' pictures
BATCH = 50
VARIED, FILLINGS = 16, 4  # pictures filled several times, and how often, for the diversity
FACES_FROM = 0.5  # share of the intact pictures with a face, from which on the figures of faces are given

# Fills pictures uint8 (N, H, W, 3) with holes bool (N, H, W), from the codes of a seed: uint8 (N, H, W, 3).
Fill = Callable[[NDArray[np.uint8], NDArray[np.bool_], int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Intact:
    """Intact pictures, and what is measured of them once: `truth` is what gets filled, `others` the other side."""

    truth: NDArray[np.uint8]  # (N, H, W, 3)
    others: NDArray[np.uint8]
    truth_features: NDArray[np.float32]  # (N, D)
    other_features: NDArray[np.float32]
    eyes: faces.Eyes | None  # of `truth`, if these are faces

    @classmethod
    def of(cls, truth: NDArray[np.uint8], others: NDArray[np.uint8], network: Network) -> "Intact":
        eyes = faces.landmarks(truth)
        if eyes and eyes.found.mean() < FACES_FROM:
            eyes = None
        return cls(truth, others, seen(network, truth), seen(network, others), eyes)

    def floor(self) -> dict[str, float]:
        """What the figures are when nothing has been filled."""
        found = {
            "kid_floor": realism.kid(self.truth_features, self.other_features)[0],
            "c2st_floor": realism.c2st(self.truth_features, self.other_features),
            "spread": metrics.mean_pairwise_distance(self.other_features),
        }
        if self.eyes:
            found |= {
                "eyes_floor": share(faces.both_eyes(self.truth)),
                "landmarks_floor": share(self.eyes.found),
                "eye_height_floor": float(self.eyes.height_difference().mean()),
                "eye_size_floor": float(self.eyes.size_difference().mean()),
            }
        return found


def looks(filled: NDArray[np.uint8], intact: Intact, network: Network) -> dict[str, float]:
    """How composed pictures (N, H, W, 3) look, that were made from `intact.truth`.

    Returns:
        kid, its standard error, c2st; and of faces the share in which a cascade finds both eyes, that in which the
        landmark network finds a face, and, where it finds one in both, the means of the eyes' shift from the truth
        and of the differences in height and size between them.
    """
    made = seen(network, filled)
    kid, error = realism.kid(made, intact.other_features)
    found = {"kid": kid, "kid_error": error, "c2st": realism.c2st(made, intact.other_features)}
    if intact.eyes:
        eyes = faces.landmarks(filled)
        both = eyes.found & intact.eyes.found
        found |= {
            "eyes": share(faces.both_eyes(filled)),
            "landmarks": share(eyes.found),
            "eye_shift": mean_of(eyes.shift(intact.eyes)[both]),
            "eye_height": mean_of(eyes.height_difference()[both]),
            "eye_size": mean_of(eyes.size_difference()[both]),
        }
    return found


def diversity(fill: Fill, images: NDArray[np.uint8], holes: NDArray[np.bool_], network: Network) -> float:
    """Mean distance, in features, between fillings of one hole from different codes."""
    fillings = [seen(network, fill(images, holes, seed)) for seed in range(1, 1 + FILLINGS)]
    return float(np.mean([metrics.mean_pairwise_distance(each) for each in np.stack(fillings, axis=1)]))


def accuracy(filled: NDArray[np.uint8], images: NDArray[np.uint8], holes: NDArray[np.bool_]) -> dict[str, float]:
    """How close the fillings are to the truth; the hole's PSNR with its standard error over the pictures."""
    hole = metrics.psnr(filled, images, holes)
    return {
        "psnr_hole": float(hole.mean()),
        "psnr_hole_error": float(hole.std(ddof=1) / len(hole) ** 0.5),
        "psnr_image": float(metrics.psnr(filled, images).mean()),
        "ssim": float(metrics.ssim(filled, images).mean()),
    }


def seen(network: Network, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return network(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2))


def share(found: NDArray[np.bool_] | None) -> float:
    return float("nan") if found is None else float(found.mean())


def mean_of(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def reduced(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (N, H, W, 3) at 64 pixels a side, means over squares."""
    size = (SMALL, SMALL)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)) for image in images])


def reduced_holes(holes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Holes (N, H, W) at 64 pixels a side: missing is what is missing in part."""
    factor = holes.shape[1] // SMALL
    return holes.reshape(len(holes), SMALL, factor, SMALL, factor).any(axis=(2, 4))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="bundled model, folder or Hub id")
    parser.add_argument("--data", required=True, help="intact test pictures: folder or zip")
    parser.add_argument("--masks", nargs="+", choices=masks.NAMES, default=list(masks.NAMES), metavar="MASK")
    parser.add_argument(
        "--pictures", type=number(int, 20), default=150, help="to fill; as many others are the intact side"
    )
    parser.add_argument("--last", action="store_true", help="take the last pictures, not the first (validation)")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the filling, such as steps=30"
    )
    parser.add_argument(
        "--proposal", action="store_true", help="no search: what a generator that sees the picture makes first, pasted"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="CSV file, to which rows are added; what is there is not made again")


def main(arguments: argparse.Namespace) -> None:
    inpainter = Inpainter.from_pretrained(arguments.model, device=arguments.device)
    fill = filler(inpainter, settings_of(arguments.set), arguments.proposal)
    images = np.ascontiguousarray(load_images(arguments.data, inpainter.size).permute(0, 2, 3, 1).numpy())
    count = arguments.pictures
    if len(images) < 2 * count:
        raise ValueError(
            f"{arguments.data}: {2 * count} pictures are needed for --pictures {count}, got {len(images)}."
        )
    images = images[-2 * count :] if arguments.last else images[: 2 * count]
    network = features.efficientnet(features.LITE2, inpainter.device)
    sides = {inpainter.size: (images, np.asarray)}
    if inpainter.size > SMALL and inpainter.size % SMALL == 0:
        sides[SMALL] = (reduced(images), reduced)
    intact = {side: Intact.of(some[:count], some[count:], network) for side, (some, _) in sides.items()}
    floors = {side: each.floor() for side, each in intact.items()}

    about = {
        "data": Path(arguments.data).name,
        "model": str(arguments.model),
        "images_seen": inpainter.model.config.training.get("images_seen", ""),
        "settings": "proposal " * arguments.proposal + " ".join(arguments.set),
        "pictures": count,
    }
    done = read_rows(arguments.out)
    for mask in arguments.masks:
        key = digest({**about, "mask": mask, "last": arguments.last, "weights": weights_digest(inpainter.model)})
        rows = [row for row in done if row["key"] == key]
        if not rows:
            holes = np.stack([masks.named(mask, inpainter.size, seed=index) for index in range(count)])
            started = time.perf_counter()
            filled = fill(images[:count], holes, 0)
            seconds = (time.perf_counter() - started) / count
            varied = diversity(fill, images[:VARIED], holes[:VARIED], network)
            for side, (_, reduce) in sides.items():
                hole = holes if side == inpainter.size else reduced_holes(holes)
                result = reduce(filled)
                found = accuracy(result, intact[side].truth, hole) | looks(result, intact[side], network)
                found |= {"diversity": varied, "seconds": seconds} | floors[side]
                found = {name: f"{value:.4f}" for name, value in found.items()}
                rows.append({"mask": mask, "side": side, **about, **found, "key": key})
            done += rows
            write_rows(arguments.out, done)
        for row in rows:
            print("  ".join(f"{name} {value}" for name, value in row.items() if name not in ("key", "data", "model")))


def filler(inpainter: Inpainter, settings: dict[str, Any], proposal: bool) -> Fill:
    """Fills with `settings` of the inpainter's call; or with the proposal alone, which takes no setting but `blend`."""
    if not proposal:
        return lambda images, holes, seed: inpainter(images, holes, seed=seed, **settings).images
    model, blend = inpainter.model, settings.get("blend", "overlay")
    if not hasattr(model, "bound"):
        raise ValueError("--proposal: the model does not see the picture; give --set steps=0 for that of its encoder.")

    @torch.inference_mode()
    def fill(images: NDArray[np.uint8], holes: NDArray[np.bool_], seed: int) -> NDArray[np.uint8]:
        filled = []
        for start in range(0, len(images), BATCH):
            some, missing = images[start : start + BATCH], holes[start : start + BATCH]
            z = model.sample_latents(len(some), torch.Generator().manual_seed(1000 * seed + start)) * bool(seed)
            pictures, hole = to_tensor(some, inpainter.device), torch.from_numpy(missing).to(inpainter.device)
            generated = model.bound(pictures, hole).generate(z.to(inpainter.device)).clamp(-1, 1)
            filled.append(compose(some, generated, missing, blend))
        return np.concatenate(filled)

    return fill


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """Settings by name from texts NAME=VALUE; raises `ValueError` for another form."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set: NAME=VALUE is expected, got {pair!r}.")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path | None, rows: list[dict[str, Any]]) -> None:
    if path is None:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    with open(scratch, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    scratch.replace(path)
