"""The hole editor: pictures shown enlarged, holes read back from what was drawn over them.

Known pixels never come from here: the editor only says where the hole is.
"""

import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from inpainter import images, masks

CANVAS = 512  # pixels a side; a model's pixels are shown enlarged by a whole factor up to this
BRUSH_SIZE = 28  # canvas pixels
PHOTO_SIDE = 1024  # pixels; enough to zoom in on a face, little enough to keep for every visitor
HOLE_COLOUR = "#ff3c8c"  # found in no face, so that a hole cannot be mistaken for a picture

EditorValue = dict[str, Any]


def show(picture: NDArray[np.uint8], hole: NDArray[np.bool_]) -> EditorValue:
    """What the editor displays: the picture (size, size, 3), and its hole (size, size) as a drawn layer."""
    layer = np.zeros((*hole.shape, 4), dtype=np.uint8)
    layer[hole] = (*bytes.fromhex(HOLE_COLOUR[1:]), 255)
    return {"background": shown(_enlarge(picture)), "layers": [shown(_enlarge(layer))], "composite": None}


def hole_of(value: EditorValue | None, size: int) -> NDArray[np.bool_]:
    """The hole drawn in the editor: bool (size, size), True = missing.

    A model pixel is missing as soon as any part of it is drawn over, in any layer.
    """
    hole = np.zeros((size, size), dtype=bool)
    for layer in value["layers"] if value else []:
        strokes = Image.fromarray((layer[..., 3] > 127).astype(np.float32))
        hole |= np.asarray(strokes.resize((size, size), Image.Resampling.BOX)) > 0
    return hole


def read_photo(path: str) -> NDArray[np.uint8]:
    """Reads an uploaded picture of any size: uint8 (H, W, 3), at most `PHOTO_SIDE` on its shorter side.

    Raises:
        ValueError: when it cannot be read, in one sentence.
    """
    photo = images.read_image(path)
    if min(photo.size) > PHOTO_SIDE:
        photo = ImageOps.contain(photo, _sides(photo.size), Image.Resampling.LANCZOS)
    return np.asarray(photo)


def crop(photo: NDArray[np.uint8], size: int, zoom: float = 1, across: float = 50, down: float = 50) -> NDArray:
    """Cuts the square that the model sees: uint8 (size, size, 3).

    Args:
        photo: uint8 (H, W, 3).
        size: the model's, in pixels.
        zoom: 1 takes the largest square; 2 one of half that side.
        across, down: where it lies, in percent: 0 at the left or top, 100 at the right or bottom.
    """
    height, width = photo.shape[:2]
    side = max(images.MIN_SIDE, round(min(height, width) / zoom))
    left, top = round((width - side) * across / 100), round((height - side) * down / 100)
    square = photo[top : top + side, left : left + side]
    picture, _ = images.fit(square, np.zeros(square.shape[:2], dtype=bool), size)
    return picture


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


def _sides(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) scaled down so that the shorter side has `PHOTO_SIDE` pixels."""
    return tuple(round(side * PHOTO_SIDE / min(size)) for side in size)


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
    """Shows every pixel of (H, W, C) as a square of `factor` pixels."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
