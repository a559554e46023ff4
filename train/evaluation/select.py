"""Chooses among the snapshots of a training run, on held-out pictures.

Each snapshot of `--keep-every` gets two scores: the feature distance of its samples from the held-out pictures (see
`train.evaluation.scores`), and how well a short search with it fills holes in them (PSNR in the hole, mean over the
four masks). The best snapshot has the lowest sum of its ranks by both. Look at the sheets of fillings before you
decide.
"""

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from inpainter import Inpainter, files, hub, masks, metrics
from inpainter.devices import device_from_name, quick_precision

from ..data.loading import load_images, split
from ..looks import features, sheets
from ..looks.features import Network
from ..loop.options import add_held_out, number
from ..loop.run import SNAPSHOTS_NAME, snapshots
from . import cells, report
from .evaluate import holes_of
from .methods import counting
from .scores import sample, warn_if_seen

logger = logging.getLogger(__name__)

RESULT_NAME, PICTURES_NAME = "select.json", "select"
RULE = "lowest sum of the ranks by feature distance and by mean PSNR in the hole; ties go to the lower distance"
BATCH = 64  # rows per search, each one picture and start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", required=True, nargs="+", type=Path, metavar="RUN", help="--out of the runs")
    parser.add_argument("--data", required=True, help="the training data of the runs")
    add_held_out(parser)
    parser.add_argument(
        "--images", type=number(int, 1), default=64, help="held-out pictures to fill (default %(default)s)"
    )
    parser.add_argument("--steps", type=number(int, 1), default=50, help="of a search (default %(default)s)")
    parser.add_argument(
        "--starts", type=number(int, 1), default=3, help="codes to start from; their scores are averaged (default 3)"
    )
    parser.add_argument(
        "--samples", type=number(int, 2), default=2000, help="for the feature distance (default %(default)s)"
    )
    parser.add_argument("--device", default="auto")


def main(arguments: argparse.Namespace) -> None:
    device = device_from_name(arguments.device)
    found = {run: snapshots(run) for run in arguments.runs}
    # Open all of them first, so that a broken one is found before hours are spent on the others.
    sizes = {hub.load(folder).config.image_size for folders in found.values() for folder in folders}
    if len(sizes) > 1:
        raise ValueError(f"the snapshots have different picture sizes, {sorted(sizes)} pixels.")
    train, held_out = split(load_images(arguments.data, sizes.pop()), arguments.held_out)
    network = features.efficientnet_lite0(device)
    trial = Trial.of(network, held_out, arguments)
    settings = trial.settings | {"data": Path(arguments.data).name, "held_out": cells.digest({}, held_out.numpy())}

    results: dict[Path, dict[str, Any]] = {}
    with tqdm(total=sum(map(len, found.values())) * trial.work, unit="step") as bar, logging_redirect_tqdm():
        for run, folders in found.items():
            weights = {folder.name: hub.checksum(folder) for folder in folders}
            known = read_scores(run / RESULT_NAME, settings)
            scores = {name: score for name, score in known.items() if weights.get(name) == score["weights"]}
            bar.update(len(scores) * trial.work)
            (run / PICTURES_NAME).mkdir(exist_ok=True)
            for folder in folders:
                if folder.name in scores:
                    continue
                bar.set_description(f"{run.name} {folder.name}")
                model = Inpainter.from_pretrained(folder, device=arguments.device)
                warn_if_seen(model.model, len(train))
                measured, pictures = trial.measure(model, network, bar.update)
                pictures.save(run / PICTURES_NAME / f"{folder.name}.png")
                scores[folder.name] = {"weights": weights[folder.name], **measured}
                write_scores(run / RESULT_NAME, settings, scores)
            results |= {run / SNAPSHOTS_NAME / name: score for name, score in scores.items()}
    ordered = ranked(results)
    print(table(ordered))
    print(f"\nOrder: {RULE}.\nbest: {next(iter(ordered))}")
    folders = ", ".join(str(run / PICTURES_NAME) for run in found)
    print(f"Compare their fillings before you decide: {folders}")


@dataclass(frozen=True)
class Trial:
    """The test that every snapshot takes.

    Attributes:
        reference: features of all held-out pictures (H, D).
        images: uint8 (N, size, size, 3), the held-out pictures to fill.
        steps, starts: of the search.
        samples: number of samples to draw.
    """

    reference: NDArray[np.float32]
    images: NDArray[np.uint8]
    steps: int
    starts: int
    samples: int

    @classmethod
    def of(cls, network: Network, held_out: torch.Tensor, arguments: argparse.Namespace) -> "Trial":
        images = np.ascontiguousarray(held_out[: arguments.images].permute(0, 2, 3, 1).numpy())
        chosen = {name: getattr(arguments, name) for name in ("steps", "starts", "samples")}
        return cls(features.kept(network, held_out), images, **chosen)

    @property
    def work(self) -> int:
        """Total number of steps over all rows."""
        return len(masks.NAMES) * len(self.images) * self.starts * self.steps

    @property
    def settings(self) -> dict[str, Any]:
        """Everything the scores depend on, besides the pictures and the weights."""
        chosen = {name: getattr(self, name) for name in ("steps", "starts", "samples")}
        return chosen | {"images": len(self.images), "network": features.NETWORK}

    def measure(
        self, model: Inpainter, network: Network, advance: Callable[[int], None]
    ) -> tuple[dict[str, Any], Image.Image]:
        """Returns a model's scores and a sheet of its fillings; calls `advance` with the number of rows stepped."""
        drawn = network(sample(model.model, self.samples, seed=0))
        psnr, shown = {}, {"intact": self.images[: sheets.SHOWN]}
        for mask in masks.NAMES:
            holes = holes_of(mask, self.images)
            filled = self._fill(model, holes, advance)  # (starts, N, H, W, 3)
            psnr[mask] = round(float(np.mean([metrics.psnr(one, self.images, holes) for one in filled])), 3)
            shown[mask] = filled[0][: sheets.SHOWN]
        measured = {
            "images_seen": model.model.config.training.get("images_seen"),
            "feature_distance": round(metrics.frechet_distance(drawn, self.reference), 3),
            "psnr_hole": psnr,
        }
        return measured, sheets.labelled(shown)

    def _fill(self, model: Inpainter, holes: NDArray[np.bool_], advance: Callable[[int], None]) -> NDArray[np.uint8]:
        """Returns fillings (starts, N, H, W, 3) by the paper's search, each row with its own seed."""
        images, holes = (np.concatenate([array] * self.starts) for array in (self.images, holes))
        result = model(
            images,
            holes,
            mode="paper",
            steps=self.steps,
            seed=range(len(images)),
            precision=quick_precision(model.device),
            batch_size=BATCH,
            callback=counting(advance),
        )
        return result.images.reshape(self.starts, *self.images.shape)


def read_scores(path: Path, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Reads the scores in a file, by snapshot; empty if its settings differ or it cannot be read."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        known = result["snapshots"] if result["settings"] == settings else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    if not known:
        logger.warning("%s has no scores for these settings; scoring all snapshots again.", path)
    return known


def write_scores(path: Path, settings: dict[str, Any], scores: dict[str, dict[str, Any]]) -> None:
    """Writes the scores of a run's snapshots, best first, atomically."""
    ordered = ranked(scores)
    result = {"best": next(iter(ordered)), "rule": RULE, "settings": settings, "snapshots": ordered}
    files.write_text(path, json.dumps(result, indent=2) + "\n")


def mean_psnr(score: dict[str, Any]) -> float:
    return float(np.mean(list(score["psnr_hole"].values())))


def ranked(scores: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Sorts the scores by `RULE`, best first; equal values share a rank."""
    distances = sorted(score["feature_distance"] for score in scores.values())
    psnrs = sorted((mean_psnr(score) for score in scores.values()), reverse=True)

    def place(name: Any) -> tuple[float, float]:
        distance = scores[name]["feature_distance"]
        return distances.index(distance) + psnrs.index(mean_psnr(scores[name])), distance

    return {name: scores[name] for name in sorted(scores, key=place)}


def table(ordered: dict[Path, dict[str, Any]]) -> str:
    """Formats the scores as a Markdown table."""
    head = ["snapshot", "images seen", "feature distance", "PSNR in the hole (dB), mean", *masks.NAMES]
    lines = [
        [
            str(folder),
            str(score["images_seen"]),
            f"{score['feature_distance']:.2f}",
            f"{mean_psnr(score):.2f}",
            *(f"{score['psnr_hole'][mask]:.2f}" for mask in masks.NAMES),
        ]
        for folder, score in ordered.items()
    ]
    return report.table(head, lines)
