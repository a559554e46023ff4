"""Measures how a model's fillings look: whether they can be told from intact pictures, eyes in faces, diversity.

The first pictures are filled; the same number after them are the intact pictures to compare with. The figures are
measured on composed pictures, in features of EfficientNet-Lite2, which no training uses; they are not FIDs, and are
comparable only for equal numbers of pictures. A model of more than 64 pixels is also measured on fillings reduced to
64.
"""

import argparse
import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inpainter import Inpainter, files, hub, masks
from inpainter.hub.records import amend_training, images_seen
from inpainter.images import reduce_hole
from inpainter.settings import Settings

from ..data.loading import load_images
from ..looks import features, sheets
from ..looks.measure import Fill, Intact, accuracy, diversity, looks, proposals
from ..loop.options import number
from .cells import digest
from .evaluate import holes_of
from .methods import weights_digest

SMALL = 64  # pixels a side, of the papers' pictures
SHOWN = 12  # pictures on a sheet
DRAWN = 1000  # seeds of codes reserved for each seed of a measurement, one per picture
VARIED = 16  # pictures filled several times, to measure diversity
RECORDED = ("psnr_hole", "psnr_image", "ssim", "kid", "c2st")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="bundled model, folder or Hub id")
    parser.add_argument("--data", required=True, help="intact test pictures: folder or zip")
    parser.add_argument("--masks", nargs="+", choices=masks.NAMES, default=list(masks.NAMES), metavar="MASK")
    parser.add_argument(
        "--pictures", type=number(int, 20), default=150, help="to fill, and as many intact ones to compare with"
    )
    parser.add_argument("--last", action="store_true", help="take the last pictures, not the first (validation)")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the filling, such as steps=30"
    )
    parser.add_argument(
        "--seed", type=number(int, 0), default=0, help="0: start from proposals; others: from codes drawn per picture"
    )
    parser.add_argument(
        "--proposal", action="store_true", help="no search: paste a conditional generator's first proposal"
    )
    parser.add_argument(
        "--record", action="store_true", help="write the figures to the model folder's configuration, for its card"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sheets", type=Path, help="folder for one sheet per mask with the first fillings, unselected")
    parser.add_argument("--out", type=Path, help="CSV file to append rows to; existing rows are not computed again")


def main(arguments: argparse.Namespace) -> None:
    inpainter = Inpainter.from_pretrained(arguments.model, device=arguments.device)
    fill = filler(inpainter, settings_of(arguments.set), arguments.proposal)
    images = np.ascontiguousarray(load_images(arguments.data, inpainter.size).permute(0, 2, 3, 1).numpy())
    count = arguments.pictures
    if len(images) < 2 * count:
        raise ValueError(f"{arguments.data}: --pictures {count} needs {2 * count} pictures, got {len(images)}.")
    images = images[-2 * count :] if arguments.last else images[: 2 * count]
    network = features.efficientnet(features.LITE2, inpainter.device)
    sides = {inpainter.size: (images, np.asarray)}
    if inpainter.size > SMALL and inpainter.size % SMALL == 0:
        sides[SMALL] = (reduced(images), reduced)
    intact = {side: Intact.of(some[:count], some[count:], network) for side, (some, _) in sides.items()}
    floors = {side: each.floor() for side, each in intact.items()}

    seeded = arguments.seed > 0
    about = {
        "data": Path(arguments.data).name,
        "model": str(arguments.model),
        "settings": " ".join(["proposal"] * arguments.proposal + arguments.set + [f"seed={arguments.seed}"] * seeded),
        "pictures": count,
    }
    seen = images_seen(inpainter.model.config.training)
    done, recorded = read_rows(arguments.out), {}
    networks = {"weights": weights_digest(inpainter.model)}
    if inpainter.encoder is not None:
        networks["encoder"] = weights_digest(inpainter.encoder)
    for mask in arguments.masks:
        key = digest({**about, "mask": mask, "last": arguments.last, **networks}, images)
        rows = [row for row in done if row["key"] == key]
        if not rows:
            holes = holes_of(mask, images[:count])
            started = time.perf_counter()
            filled = fill(images[:count], holes, arguments.seed)
            seconds = (time.perf_counter() - started) / count
            varied = diversity(fill, images[:VARIED], holes[:VARIED], network)
            for side, (_, reduce) in sides.items():
                hole = holes if side == inpainter.size else reduced_holes(holes)
                result = reduce(filled)
                found = accuracy(result, intact[side].truth, hole) | looks(result, intact[side], network)
                found |= {"diversity": varied, "seconds": seconds} | floors[side]
                found = {name: f"{value:.4f}" for name, value in found.items()}
                rows.append({"mask": mask, "side": side, **about, "images_seen": seen, **found, "key": key})
            done += rows
            write_rows(arguments.out, done)
        recorded[mask] = {name: float(rows[0][name]) for name in RECORDED}
        if arguments.sheets:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            sheet(fill, images[:SHOWN], mask, arguments.seed).save(
                arguments.sheets / f"{Path(arguments.model).name}-{mask}.png"
            )
        for row in rows:
            print("  ".join(f"{name} {value}" for name, value in row.items() if name not in ("key", "data", "model")))
    if arguments.record:
        settings = about["settings"].strip() or "default"
        entry = {"data": about["data"], "images": count, "settings": settings, "masks": recorded}
        amend_training(hub.locate(arguments.model), evaluation=[entry])


def sheet(fill: Fill, images: NDArray[np.uint8], mask: str, seed: int) -> Image.Image:
    """Lays out pictures (N, H, W, 3) intact, damaged and filled."""
    holes = holes_of(mask, images)
    return sheets.filled(images, holes, {"filled": fill(images, holes, seed)})


def filler(inpainter: Inpainter, settings: dict[str, Any], proposal: bool) -> Fill:
    """Returns a `Fill` with the given settings; or of proposals only, which use no setting but `blend`."""

    def fill(images: NDArray[np.uint8], holes: NDArray[np.bool_], seed: int) -> NDArray[np.uint8]:
        seeds = [bool(seed) * (DRAWN * seed + index) for index in range(len(images))]
        return inpainter(images, holes, seed=seeds, **settings).images

    if not proposal:
        return fill
    if not inpainter.model.conditional:
        raise ValueError("--proposal needs a conditional model; for an encoder's proposal, give --set steps=0.")
    return proposals(inpainter.model, inpainter.device, settings.get("blend", "overlay"))


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """Parses settings of the form NAME=VALUE; raises `ValueError` for any other form, name or value."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set: expected NAME=VALUE, got {pair!r}.")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    if "seed" in settings:
        raise ValueError("--set: the seed is an option of its own, --seed.")
    try:
        Settings().with_fields(**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"--set: {error}") from error
    return settings


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path | None, rows: list[dict[str, Any]]) -> None:
    if path is None:
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text.getvalue())


def reduced(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduces pictures (N, H, W, 3) to 64x64 pixels by averaging."""
    size = (SMALL, SMALL)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)) for image in images])


def reduced_holes(holes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Reduces holes (N, H, W) to 64x64 pixels: a pixel is missing if any part of it is."""
    return np.stack([reduce_hole(hole, SMALL) for hole in holes])
