"""Measures a model's inpainting on intact test pictures.

Pictures are damaged with the paper's four masks, filled, and compared with what was there. PSNR over
the hole alone is what agrees with the paper's Table 1; the whole picture's is given beside it.
"""

import argparse
import csv
import json
import logging
import os
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from inpainter import Inpainter, hub, masks, metrics
from inpainter.images import image_grid
from inpainter.models.base import CONFIG_NAME
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT, STEPS

from .data import load_images

logger = logging.getLogger(__name__)

COLUMNS = ("mask", "image", "psnr_hole", "psnr_image", "ssim", "context_loss", "prior_loss")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="model folder or Hub id")
    parser.add_argument("--data", required=True, help="folder or zip of intact test pictures")
    parser.add_argument("--images", type=int, default=100, help="how many pictures to take (default %(default)s)")
    parser.add_argument("--last", action="store_true", help="take the last pictures, not the first (validation)")
    parser.add_argument("--masks", nargs="+", choices=masks.NAMES, default=list(masks.NAMES), metavar="MASK")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--prior-weight", type=float, default=PRIOR_WEIGHT)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--blend", choices=("poisson", "overlay"), default="poisson")
    parser.add_argument("--seed", type=int, default=0, help="of the starting codes")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the convolutions")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="folder for the table, per-image CSV and picture grids")
    parser.add_argument("--record", action="store_true", help="write the means into the model folder's configuration")


def main(arguments: argparse.Namespace) -> None:
    model = Inpainter.from_pretrained(arguments.model, device=arguments.device)
    images = load_images(arguments.data, model.size).permute(0, 2, 3, 1).numpy()
    images = images[-arguments.images :] if arguments.last else images[: arguments.images]
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)

    rows: list[dict] = []
    seconds: dict[str, float] = {}
    for name in arguments.masks:  # pattern and random masks take the picture's index as seed
        started = time.perf_counter()
        holes = np.stack([masks.named(name, model.size, seed=index) for index in range(len(images))])
        filled, losses = fill(model, images, holes, name, arguments)
        seconds[name] = (time.perf_counter() - started) / len(images)
        rows += measure(images, filled, holes, name, losses)
        if arguments.out:
            save_grid(arguments.out / f"{name}.png", images[:8], filled[:8], holes[:8])

    summary = summarise(rows)
    table = markdown(summary, seconds)
    print(table)
    if arguments.out:
        (arguments.out / "table.md").write_text(table + "\n", encoding="utf-8")
        with open(arguments.out / "images.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    if arguments.record:
        record(hub.locate(arguments.model), summary, arguments, len(images))


def fill(
    model: Inpainter, images: NDArray[np.uint8], holes: NDArray[np.bool_], name: str, arguments: argparse.Namespace
) -> tuple[NDArray[np.uint8], NDArray]:
    """Damages and fills uint8 (N, H, W, 3): the filled pictures, and losses (N, 2): context, prior."""
    filled, losses = [], []
    with tqdm(total=len(images) * arguments.steps, desc=name, unit="step") as bar:
        for first in range(0, len(images), arguments.batch_size):
            part = slice(first, first + arguments.batch_size)

            def advance(step: int, progress) -> None:
                bar.update(len(progress.pictures) if step else 0)

            with torch.autocast(model.device.type, torch.bfloat16, enabled=arguments.precision == "bfloat16"):
                result = model(
                    images[part],
                    holes[part],
                    steps=arguments.steps,
                    prior_weight=arguments.prior_weight,
                    learning_rate=arguments.learning_rate,
                    blend=arguments.blend,
                    seed=arguments.seed,
                    batch_size=arguments.batch_size,
                    callback=advance,
                )
            filled.append(result.images)
            losses.append(np.stack([result.context_loss, result.prior_loss], axis=1))
    return np.concatenate(filled), np.concatenate(losses)


def measure(
    images: NDArray[np.uint8], filled: NDArray[np.uint8], holes: NDArray[np.bool_], name: str, losses: NDArray
) -> list[dict]:
    """One row a picture, with the keys of `COLUMNS`."""
    scores = (
        metrics.psnr(filled, images, holes),
        metrics.psnr(filled, images),
        metrics.ssim(filled, images),
        *losses.T,
    )
    return [
        dict(zip(COLUMNS, (name, index, *(round(float(value), 6) for value in row)), strict=True))
        for index, row in enumerate(zip(*scores, strict=True))
    ]


def summarise(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Means over the pictures, by mask and score."""
    names = dict.fromkeys(row["mask"] for row in rows)
    return {
        name: {score: float(np.mean([row[score] for row in rows if row["mask"] == name])) for score in COLUMNS[2:]}
        for name in names
    }


def markdown(summary: dict[str, dict[str, float]], seconds: dict[str, float]) -> str:
    """The table people read."""
    lines = ["| mask | PSNR in the hole (dB) | PSNR whole picture (dB) | SSIM | s / picture |", "|---|---|---|---|---|"]
    for name, mean in summary.items():
        scores = f"{mean['psnr_hole']:.2f} | {mean['psnr_image']:.2f} | {mean['ssim']:.3f}"
        lines.append(f"| {name} | {scores} | {seconds[name]:.2f} |")
    return "\n".join(lines)


def save_grid(path: Path, images: NDArray[np.uint8], filled: NDArray[np.uint8], holes: NDArray[np.bool_]) -> None:
    """Three rows: intact, damaged (hole white), filled; every pixel twice as large, to be seen."""
    damaged = np.where(holes[..., None], 255, images).astype(np.uint8)
    rows = np.concatenate([images, damaged, filled]).repeat(2, axis=1).repeat(2, axis=2)
    image_grid(rows, columns=len(images), gap=4).save(path)


def record(folder: Path, summary: dict[str, dict[str, float]], arguments, count: int) -> None:
    """Puts the means into `training.evaluation` of the folder's configuration, for its model card."""
    path = folder / CONFIG_NAME
    config = json.loads(path.read_text(encoding="utf-8"))
    config["training"]["evaluation"] = [
        {
            "data": Path(arguments.data).name,
            "images": count,
            "steps": arguments.steps,
            "prior_weight": arguments.prior_weight,
            "learning_rate": arguments.learning_rate,
            "blend": arguments.blend,
            "precision": arguments.precision,
            "masks": {name: {score: round(mean[score], 3) for score in COLUMNS[2:5]} for name, mean in summary.items()},
        }
    ]
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)
