"""Draws a model's fillings of unselected test pictures on one sheet, and images along its searches (CVPR figure 3)."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inpainter import Inpainter, Progress, masks
from inpainter.images import to_uint8
from inpainter.search import STEPS

from ..data.loading import load_images
from ..looks import sheets
from ..loop.options import number
from .evaluate import holes_of

COLUMNS = 12  # pictures per mask on the sheet
PATH = (0, 10, 30, 100, 300, 1000)  # steps shown of a search, besides the last


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="bundled model, folder or Hub id")
    parser.add_argument("--data", required=True, help="intact test pictures: folder or zip")
    parser.add_argument(
        "--steps", type=number(int, 0), default=STEPS, help="of the searches shown; 0: none (default %(default)s)"
    )
    parser.add_argument("--mask", choices=masks.NAMES, default="center", help="of the searches (default %(default)s)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True, help="folder for MODEL-fillings.jpg and MODEL-search.png")


def main(arguments: argparse.Namespace) -> None:
    model = Inpainter.from_pretrained(arguments.model, device=arguments.device)
    images = np.ascontiguousarray(load_images(arguments.data, model.size).permute(0, 2, 3, 1).numpy())
    needed = COLUMNS * len(masks.NAMES)
    if len(images) < needed:
        raise ValueError(f"{arguments.data}: the sheet needs {needed} pictures, got {len(images)}.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = str(arguments.out / Path(arguments.model).name)
    contact_sheet(model, images[:needed]).save(f"{stem}-fillings.jpg", quality=90, subsampling=0)
    if arguments.steps:
        path(model, images[: sheets.SHOWN], arguments.mask, arguments.steps).save(f"{stem}-search.png", optimize=True)


def contact_sheet(model: Inpainter, images: NDArray[np.uint8]) -> Image.Image:
    """Fills pictures (N, H, W, 3) by default settings, each once: as many with every mask, damaged above filled."""
    rows = {}
    for mask, some in zip(masks.NAMES, np.split(images, len(masks.NAMES)), strict=True):
        holes = holes_of(mask, some)
        rows[mask] = np.where(holes[..., None], 255, some).astype(np.uint8)
        rows[f"{mask}, filled"] = model(some, holes).images
    return sheets.labelled(rows)


def path(model: Inpainter, images: NDArray[np.uint8], mask: str, steps: int) -> Image.Image:
    """Shows the generated images along the paper's search for pictures (N, H, W, 3), and the last one blended."""
    holes = holes_of(mask, images)
    seen: dict[str, NDArray[np.uint8]] = {}

    def note(step: int, progress: Progress) -> None:
        if step in PATH or step == steps:
            seen[f"step {step}"] = to_uint8(progress.state.images)

    result = model(images, holes, mode="paper", steps=steps, batch_size=len(images), callback=note)
    return sheets.filled(images, holes, {**seen, "blended": result.images})
