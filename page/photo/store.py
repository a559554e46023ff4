"""Visitors' photos: each has an unguessable token, and they are decoded one at a time."""

import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from inpainter import images, reading
from inpainter.blending import Square

from ..memory import give_back_now

MAX_PIXELS = 50_000_000  # an 8,660x5,770 photo; decoded it takes 200 MB
SIDE = 1024  # shorter side in pixels of the reduced copy: enough to zoom in on a face
MAX_PHOTOS = 2000  # the oldest are dropped first

_DECODING = threading.Lock()


@contextmanager
def decoding() -> Iterator[None]:
    """Allows one large picture in memory at a time, then returns its memory to the system."""
    with _DECODING:
        try:
            yield
        finally:
            give_back_now()


@dataclass(frozen=True)
class Photo:
    """A photo: its file, and a reduced copy used until the download."""

    token: str
    path: Path  # as uploaded
    name: str  # shown to the visitor
    width: int  # of the full-size photo, upright
    height: int
    reduced: Path

    def square(self, corners: Any) -> Square:
        """Returns the square [left, top, side] in the photo's pixels, moved inside; None: the largest centred one."""
        if corners is None:
            side = min(self.width, self.height)
            return Square((self.width - side) // 2, (self.height - side) // 2, side)
        try:
            left, top, side = (round(float(value)) for value in corners)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError("The square must be three numbers: left, top and side.") from error
        side = min(max(side, reading.MIN_SIDE), self.width, self.height)
        return Square(min(max(left, 0), self.width - side), min(max(top, 0), self.height - side), side)

    def pixels(self) -> NDArray[np.uint8]:
        """Reads the reduced copy: uint8 (h, w, 3)."""
        if not self.reduced.is_file():
            raise ValueError("Your photo has been deleted, because files are kept for a day: upload it again.")
        with Image.open(self.reduced) as image:
            return np.asarray(image.convert("RGB"))

    def crop(self, square: Square, size: int, hole: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
        """Returns the square as the model sees it: uint8 (size, size, 3). Pixels under the hole never affect others."""
        part = self.pixels()
        part = part[scaled(square, self.width, self.height, part.shape).slices]
        picture, _ = images.fit(part, np.zeros(part.shape[:2], dtype=bool), size)
        if hole is None:
            return picture
        known, missing = images.fit(part, hole, size)
        return np.where(missing[..., None], picture, known)


class Photos:
    """Photos by token, newest last."""

    def __init__(self):
        self._photos: OrderedDict[str, Photo] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, token: str) -> Photo:
        """Returns the photo with a token; raises ValueError if there is none."""
        with self._lock:
            if token not in self._photos:
                raise ValueError("Your photo has been deleted, because files are kept for a day: upload it again.")
            return self._photos[token]

    def add(self, path: Path, name: str = "") -> Photo:
        """Reads and stores an uploaded picture; raises ValueError, in one sentence, if it cannot be read."""
        with decoding():
            reduced, (width, height) = read_reduced(path)
        token = secrets.token_urlsafe(16)
        copy = path.parent / f"{token}.png"
        reduced.save(copy, compress_level=1)
        photo = Photo(token, path, name or path.name, width, height, copy)
        with self._lock:
            self._photos[token] = photo
            while len(self._photos) > MAX_PHOTOS:
                _, oldest = self._photos.popitem(last=False)
                oldest.reduced.unlink(missing_ok=True)
        return photo


PHOTOS = Photos()


def read_reduced(path: str | os.PathLike) -> tuple[Image.Image, tuple[int, int]]:
    """Reads a picture upright, in RGB, its shorter side reduced to about `SIDE`; also returns its full size.

    Reduces before any conversion, and decodes a JPEG at reduced scale, so that a large file takes at most four bytes
    per pixel.

    Raises:
        ValueError: in one sentence, if it is not a picture, is damaged, or exceeds `MAX_PIXELS`.
    """
    path = Path(path)
    with reading.open_image(path) as image:
        width, height = _checked_size(image, path)
        try:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            image.load()
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path.name}: the file is damaged or incomplete ({error}).") from error
        factor = min(image.size) // SIDE
        if factor > 1:
            image = _reducible(image).reduce(factor)
        upright = reading.to_rgb(image, path.name)
    if min(upright.size) > SIDE:
        scale = SIDE / min(upright.size)
        upright = ImageOps.contain(upright, tuple(round(side * scale) for side in upright.size))
    return upright, (height, width) if turned else (width, height)


def read_mask(path: str | os.PathLike) -> NDArray[np.bool_]:
    """Reads a mask at full size, so that no line gets lost: bool (H, W); see `reading.read_hole`.

    Raises:
        ValueError: as `read_reduced`.
    """
    with reading.open_image(path) as image:
        _checked_size(image, Path(path))
    return reading.read_hole(path)


def _checked_size(image: Image.Image, path: Path) -> tuple[int, int]:
    width, height = image.size
    if width * height > MAX_PIXELS:
        limit = f"{MAX_PIXELS / 1e6:.0f} megapixels"
        raise ValueError(f"{path.name}: {width}x{height} pixels exceed this page's limit of {limit}.")
    return width, height


def _reducible(image: Image.Image) -> Image.Image:
    """Converts a picture to a mode whose pixels can be averaged."""
    if image.mode in ("P", "PA", "1"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("I") if image.mode.startswith("I;16") else image


def scaled(square: Square, width: int, height: int, shape: tuple[int, ...]) -> Square:
    """Converts a square of a photo (width x height) to the pixels of its copy of shape (h, w, ...)."""
    ratio = min(shape[1] / width, shape[0] / height)
    side = min(max(1, round(square.side * ratio)), shape[0], shape[1])
    left, top = round(square.left * ratio), round(square.top * ratio)
    return Square(min(left, shape[1] - side), min(top, shape[0] - side), side)
