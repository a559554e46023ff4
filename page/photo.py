"""A visitor's photo: read once, and the square of it that the model sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from inpainter import images
from inpainter.blending import Square

PHOTO_SIDE = 1024  # pixels; enough to zoom in on a face, little enough to keep for every visitor
MAX_ZOOM = 12

Place = tuple[float, float, float]  # zoom, across %, down %


@dataclass(frozen=True)
class Photo:
    """A photo as it is kept for a visitor: small; its file is read again for the full resolution."""

    path: str
    width: int  # of the full resolution
    height: int
    pixels: NDArray[np.uint8]  # (h, w, 3), at most `PHOTO_SIDE` on the shorter side


def read_photo(path: str) -> Photo:
    """Reads an uploaded picture of any size.

    Raises:
        ValueError: when it cannot be read, in one sentence.
    """
    photo = images.read_image(path)
    width, height = photo.size
    if min(photo.size) > PHOTO_SIDE:
        sides = tuple(round(side * PHOTO_SIDE / min(photo.size)) for side in photo.size)
        photo = ImageOps.contain(photo, sides, Image.Resampling.LANCZOS)
    return Photo(path, width, height, np.asarray(photo))


def square_at(width: int, height: int, place: Place) -> Square:
    """The square of a photo (width x height) that is at a place.

    A zoom of 1 takes the largest square, 2 one of half that side; across and down say where it lies,
    in percent: 0 at the left or top, 100 at the right or bottom.
    """
    zoom, across, down = place
    side = min(width, height, max(images.MIN_SIDE, round(min(width, height) / zoom)))
    return Square(round((width - side) * across / 100), round((height - side) * down / 100), side)


def place_of(square: Square, width: int, height: int) -> Place:
    """The place at which a square of a photo (width x height) is, to the precision of the sliders."""
    zoom = min(MAX_ZOOM, round(min(width, height) / square.side, 2))
    across = 100 * square.left / (width - square.side) if width > square.side else 50
    down = 100 * square.top / (height - square.side) if height > square.side else 50
    return zoom, round(across, 1), round(down, 1)


def crop(photo: Photo, size: int, place: Place = (1, 50, 50)) -> NDArray[np.uint8]:
    """Cuts the square that the model sees: uint8 (size, size, 3)."""
    height, width = photo.pixels.shape[:2]
    square = photo.pixels[square_at(width, height, place).slices]
    picture, _ = images.fit(square, np.zeros(square.shape[:2], dtype=bool), size)
    return picture
