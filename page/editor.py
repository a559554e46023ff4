"""The hole editor: pictures shown enlarged, holes read back from what was drawn over them.

Known pixels never come from here: the editor only says where the hole is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inpainter import images

CANVAS = 512  # pixels a side; a model's pixels are shown enlarged by a whole factor up to this
BRUSH_SIZE = 28  # canvas pixels
HOLE_COLOUR = "#ff3c8c"  # found in no face, so that a hole cannot be mistaken for a picture

EditorValue = dict[str, Any]


def show(picture: NDArray[np.uint8], hole: NDArray[np.bool_]) -> EditorValue:
    """What the editor displays: the picture (size, size, 3), and its hole (size, size) as a drawn layer."""
    layer = np.zeros((*hole.shape, 4), dtype=np.uint8)
    layer[hole] = (*bytes.fromhex(HOLE_COLOUR[1:]), 255)
    return {"background": _enlarge(picture), "layers": [_enlarge(layer)], "composite": None}


def hole_of(value: EditorValue | None, size: int) -> NDArray[np.bool_]:
    """The hole drawn in the editor: bool (size, size), True = missing.

    A model pixel is missing as soon as any part of it is drawn over, in any layer.
    """
    hole = np.zeros((size, size), dtype=bool)
    for layer in value["layers"] if value else []:
        strokes = Image.fromarray((layer[..., 3] > 127).astype(np.float32))
        hole |= np.asarray(strokes.resize((size, size), Image.Resampling.BOX)) > 0
    return hole


def load_picture(path: str, size: int) -> tuple[NDArray[np.uint8], str]:
    """Reads an uploaded picture of any size: uint8 (size, size, 3), and what was done to it.

    Raises:
        ValueError: when it cannot be read, in one sentence.
    """
    image = np.asarray(images.read_image(path))
    height, width = image.shape[:2]
    picture, _ = images.fit(image, np.zeros((height, width), dtype=bool), size)
    if (height, width) == (size, size):
        return picture, ""
    crop = "" if height == width else "cropped to its centre square and "
    return picture, f"Your {width}x{height} picture was {crop}resized to {size}x{size}, which is what the model sees."


def load_hole(path: str, size: int) -> NDArray[np.bool_]:
    """Reads an uploaded mask of any size: bool (size, size), every pixel that is not black missing.

    Raises:
        ValueError: when it cannot be read, in one sentence.
    """
    hole = images.read_hole(path)
    _, fitted = images.fit(np.zeros((*hole.shape, 3), dtype=np.uint8), hole, size)
    return fitted


def _enlarge(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, CANVAS // pixels.shape[0])
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
