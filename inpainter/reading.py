"""Reads pictures and holes from files, as a viewer would show them, and checks those passed in memory."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from . import files, masks
from .images import fit, fit_note

MIN_SIDE = 8  # pixels; a smaller picture gives the model nothing to work from
MAX_PIXELS = 80_000_000  # a 12,000x6,600 photo; decoded it takes 240 MB
MAX_BYTES = 500_000_000  # of a picture file

Picture = Image.Image | NDArray[np.uint8]
Pictures = Picture | Sequence[Picture]
Holes = Image.Image | NDArray[np.bool_] | Sequence[Image.Image | NDArray[np.bool_]]


def open_image(source: str | Path | BinaryIO) -> Image.Image:
    """Opens an image file without decoding it.

    Raises:
        ValueError: if it does not exist, is not a regular file (a pipe, a device), is not an image, or exceeds
            `MAX_PIXELS` or `MAX_BYTES`.
    """
    name = os.path.basename(source) if isinstance(source, (str, Path)) else "the picture"
    try:
        if isinstance(source, (str, Path)):
            files.check_regular(source, MAX_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we check `MAX_PIXELS` ourselves
            image = Image.open(source)
    except FileNotFoundError as error:
        raise ValueError(f"{source}: no such file.") from error
    except IsADirectoryError as error:
        raise ValueError(f"{source}: this is a folder, not a picture.") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name}: this is not an image in a supported format.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: larger than the limit of {MAX_PIXELS / 1e6:.0f} megapixels.") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{name}: cannot be read ({error}).") from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width}x{image.height}"
        image.close()
        raise ValueError(f"{name}: {size} pixels exceed the limit of {MAX_PIXELS / 1e6:.0f} megapixels.")
    return image


def read_image(source: str | Path | BinaryIO) -> Image.Image:
    """Reads a picture file as a viewer would show it: upright, in RGB, transparency over white.

    Raises:
        ValueError: as `open_image`, and if the file is truncated or the picture is too small.
    """
    with open_image(source) as image:
        name = os.path.basename(image.filename) if getattr(image, "filename", "") else "the picture"
        _decode(image, name)
        return to_rgb(image, name)


def read_hole(source: str | Path | BinaryIO) -> NDArray[np.bool_]:
    """Reads a mask file: bool (H, W), missing where it is 128 or brighter; see `masks.from_image`."""
    with open_image(source) as image:
        _decode(image, "the mask")
        return masks.from_image(_upright(image, "the mask"))


def to_rgb(image: Image.Image, name: str = "the picture") -> Image.Image:
    """Turns any PIL image into the RGB picture that a viewer would show.

    Raises:
        ValueError: if it is too small, too large, or has no fixed range (float).
    """
    check_sides(image.width, image.height, name)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"{name}: {image.width}x{image.height} pixels exceed the limit of {MAX_PIXELS / 1e6:.0f} megapixels."
        )
    if image.mode == "F":
        raise ValueError(f"{name}: floating-point pixels have no fixed range; save the picture as 8 or 16 bit first.")
    image = _upright(image, name)
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def as_picture_list(images: Pictures) -> list[NDArray[np.uint8]]:
    """Checks pictures in any accepted form and returns a list of uint8 (H, W, 3) arrays.

    Raises:
        TypeError, ValueError: naming the form expected and the form seen.
    """
    if isinstance(images, Image.Image):
        images = [images]
    elif isinstance(images, np.ndarray):
        images = images if images.ndim == 4 else images[None]
    elif not isinstance(images, Sequence) or isinstance(images, (str, bytes)):
        raise TypeError(f"images must be a PIL image, a list of them or a uint8 array, got {type(images).__name__}.")
    if len(images) == 0:
        raise ValueError("there are no pictures to fill: images is empty.")
    return [_as_picture(image, f"picture {index + 1}") for index, image in enumerate(images)]


def as_hole_list(hole: Holes, count: int) -> list[NDArray[np.bool_]]:
    """Checks holes in any accepted form and returns a list of `count` bool (H, W) arrays.

    A single hole is used for all pictures. Raises TypeError or ValueError like `as_picture_list`.
    """
    if isinstance(hole, Image.Image):
        hole = [hole]
    elif isinstance(hole, np.ndarray):
        hole = hole if hole.ndim == 3 else hole[None]
    elif not isinstance(hole, Sequence) or isinstance(hole, (str, bytes)):
        raise TypeError(f"hole must be a boolean array or a PIL image, got {type(hole).__name__}.")
    if len(hole) not in (1, count):
        raise ValueError(f"there are {count} pictures but {len(hole)} holes; give one hole, or one per picture.")
    holes = [_as_hole(item) for item in hole]
    return holes * count if len(holes) == 1 else holes


def prepare(images: Pictures, hole: Holes, size: int) -> tuple[NDArray, NDArray, tuple[str, ...]]:
    """Checks pictures and holes in any accepted form and fits them to a model; see `images.fit`.

    Returns:
        Pictures uint8 (N, size, size, 3), zero in their holes; holes bool (N, size, size); notes, one sentence each.

    Raises:
        TypeError, ValueError: naming the argument, what was expected and the value seen.
    """
    raw = as_picture_list(images)
    fitted = [fit(picture, h, size) for picture, h in zip(raw, as_hole_list(hole, len(raw)), strict=True)]
    notes = []
    for number, (picture, (_, h)) in enumerate(zip(raw, fitted, strict=True), start=1):
        if note := fit_note(picture, size):
            notes.append(f"picture {number}: {note}.")
        if not h.any():
            notes.append(f"picture {number}: the hole is empty, so the picture is unchanged.")
        if h.all():
            notes.append(f"picture {number}: everything is missing, so the result is a sample of the model.")
    return np.stack([p for p, _ in fitted]), np.stack([h for _, h in fitted]), tuple(notes)


def check_sides(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"{name}: {width}x{height} pixels is too small; each side needs at least {MIN_SIDE}.")


def _decode(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name}: the file is damaged or incomplete ({error}).") from error


def _upright(image: Image.Image, name: str) -> Image.Image:
    """Turns an image as its EXIF data says."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # damaged EXIF data makes Pillow raise almost anything as it writes the rest of it
        raise ValueError(f"{name}: its EXIF data is damaged ({error}).") from error


def _as_picture(image: Picture, name: str) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        return np.asarray(to_rgb(image, name))
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name} must be a PIL image or a uint8 array, got {type(image).__name__}.")
    if image.dtype != np.uint8:
        raise TypeError(f"{name} must be uint8, 0 to 255, got {image.dtype}.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} must have shape (H, W, 3), got {image.shape}.")
    check_sides(image.shape[1], image.shape[0], name)
    return image


def _as_hole(hole: Image.Image | NDArray[np.bool_]) -> NDArray[np.bool_]:
    if isinstance(hole, Image.Image):
        return masks.from_image(hole)
    if not isinstance(hole, np.ndarray):
        raise TypeError(f"hole must be a boolean array or a PIL image, got {type(hole).__name__}.")
    if hole.dtype != bool:
        hint = "for a 0/255 array, pass `array >= 128`"
        raise TypeError(f"hole must be boolean, True = missing, got {hole.dtype}; {hint}.")
    if hole.ndim != 2:
        raise ValueError(f"hole must have shape (H, W) or (N, H, W), got {hole.shape}.")
    return hole
