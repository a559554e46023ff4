"""The hole editor: pictures shown enlarged, holes read back from what was drawn over them.

Known pixels never come from here: the editor only says where the hole is.
"""

import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inpainter import images, masks

CANVAS = 512  # pixels a side; a model's pixels are shown enlarged by a whole factor up to this
BRUSH_SIZE = 28  # canvas pixels
HOLE_COLOUR = "#ff3c8c"  # found in no face, so that a hole cannot be mistaken for a picture

EditorValue = dict[str, Any]


def show(picture: NDArray[np.uint8], hole: NDArray[np.bool_]) -> tuple[EditorValue, str]:
    """What the editor displays, the picture (size, size, 3) with its hole (size, size) drawn over it, and its strokes.

    The strokes are what `strokes.js` tells when the editor shows just this hole.
    """
    layer = np.zeros((*hole.shape, 4), dtype=np.uint8)
    layer[hole] = (*bytes.fromhex(HOLE_COLOUR[1:]), 255)
    value = {"background": shown(_enlarge(picture)), "layers": [shown(_enlarge(layer))], "composite": None}
    missing = _enlarge(hole)
    edges = np.flatnonzero(np.diff(missing.ravel(), prepend=False))
    runs = np.diff(edges, prepend=0, append=missing.size)
    return value, ",".join(map(str, (*missing.shape[::-1], *runs)))


def hole_of(strokes: str, size: int) -> NDArray[np.bool_]:
    """The hole drawn in the editor: bool (size, size), True = missing.

    A model pixel is missing as soon as any part of it is drawn over.

    Raises:
        ValueError: when the strokes are not what `strokes.js` tells.
    """
    try:
        width, height, *runs = map(int, strokes.split(","))
    except (AttributeError, ValueError) as error:
        raise ValueError(f"strokes must be whole numbers with commas between, got {strokes!r:.40}.") from error
    fits = 0 < width <= CANVAS and 0 < height <= CANVAS and runs and min(runs) >= 0 and sum(runs) == width * height
    if not fits:
        raise ValueError(f"strokes must be the runs of all pixels of a canvas, got {strokes!r:.40}.")
    drawn = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width).astype(np.float32)
    return np.asarray(Image.fromarray(drawn).resize((size, size), Image.Resampling.BOX)) > 0


def drawn_hole(strokes: str, size: int) -> NDArray[np.bool_]:
    """As `hole_of`, of an editor in which something is drawn; raises ValueError where nothing is."""
    hole = hole_of(strokes, size)
    if not hole.any():
        raise ValueError("Nothing is missing yet: draw over the part to fill, or choose a hole.")
    return hole


def preset_hole(name: str, size: int, seed: int | None, side: str) -> NDArray[np.bool_]:
    """One of the paper's holes: bool (size, size); the seed is for pattern and random, the side for half."""
    return masks.half(size, side) if name == "half" else masks.named(name, size, int(seed or 0))


def load_hole(path: str, size: int) -> NDArray[np.bool_]:
    """Reads an uploaded mask of any size: bool (size, size), every pixel that is not black missing.

    Raises:
        ValueError: when it cannot be read, in one sentence.
    """
    hole = images.read_hole(path)
    _, fitted = images.fit(np.zeros((*hole.shape, 3), dtype=np.uint8), hole, size)
    return fitted


def _enlarge(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return enlarged(pixels, max(1, CANVAS // pixels.shape[0]))


def shown(pixels: NDArray[np.uint8]) -> Image.Image:
    """A picture to hand to Gradio, marked so that it gets a file of its own.

    Gradio names files by their content and writes them in place: two visitors who are shown the same
    picture would share a file, and one could be sent it while it is written for the other.
    """
    image = Image.fromarray(pixels)
    image.info["shown"] = uuid.uuid4().hex
    return image


def enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Shows every pixel of (H, W, ...) as a square of `factor` pixels."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
