"""Reading, checking and converting what people hand in; the only place where formats change.

At the edge: PIL images or uint8 (H, W, 3) / (N, H, W, 3). Inside: float32 (N, 3, H, W) in [-1, 1].
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from . import files, masks

MIN_SIDE = 8  # pixels; below this a picture shows nothing to go by
MAX_PIXELS = 80_000_000  # a 12,000x6,600 photo; decoded it takes 240 MB
MAX_BYTES = 500_000_000  # of a picture file

ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values for a picture on its side

Picture = Image.Image | NDArray[np.uint8]
Pictures = Picture | Sequence[Picture]
Holes = Image.Image | NDArray[np.bool_] | Sequence[Image.Image | NDArray[np.bool_]]


def open_image(source: str | Path | BinaryIO) -> Image.Image:
    """Opens an image file without decoding it.

    Raises:
        ValueError: when it is missing, not a regular file (a pipe, a device), not an image, or larger than
            `MAX_PIXELS` or `MAX_BYTES`.
    """
    name = os.path.basename(source) if isinstance(source, (str, Path)) else "the picture"
    try:
        if isinstance(source, (str, Path)):
            files.check_regular(source, MAX_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `MAX_PIXELS` is ours to check
            image = Image.open(source)
    except FileNotFoundError as error:
        raise ValueError(f"{source}: no such file.") from error
    except IsADirectoryError as error:
        raise ValueError(f"{source}: this is a folder, not a picture.") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name}: this is not an image in a format that can be read.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: larger than the {MAX_PIXELS / 1e6:.0f} megapixels that can be read.") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{name}: cannot be read ({error}).") from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width}x{image.height}"
        image.close()
        raise ValueError(f"{name}: {size} pixels are more than the {MAX_PIXELS / 1e6:.0f} megapixels that can be read.")
    return image


def read_image(source: str | Path | BinaryIO) -> Image.Image:
    """Reads a picture file as a person would see it: upright, in RGB, transparency over white.

    Raises:
        ValueError: as `open_image`, and when the file is truncated or the picture is too small.
    """
    picture, _ = open_picture(source)
    return picture


def open_picture(source: str | Path | BinaryIO, max_side: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Reads a picture as `read_image` does, reduced while it is decoded if it may be small.

    Args:
        source: a file or its path.
        max_side: the longer side is reduced to this, before colours are converted, so that a large picture is never
            held in several forms at once; None: as it is.

    Returns:
        The picture, and the (width, height) of the upright original.

    Raises:
        ValueError: as `read_image`.
    """
    with open_image(source) as image:
        name = os.path.basename(image.filename) if getattr(image, "filename", "") else "the picture"
        size = image.size
        if max_side is not None:
            image.draft(None, (max_side, max_side))  # JPEGs are decoded at a half, a quarter or an eighth
        _decode(image, name)
        _check_sides(*image.size, name)
        size = size[::-1] if image.getexif().get(ORIENTATION) in SIDEWAYS else size
        if max_side is not None and max(image.size) > max_side and not image.mode.startswith("I;16"):
            if image.mode in ("P", "1"):  # their levels are no colours, and cannot be averaged
                image = image.convert("RGBA" if image.has_transparency_data else "RGB")
            image.thumbnail((max_side, max_side), Image.Resampling.BOX)
        picture = to_rgb(image, name)
        if max_side is not None and max(picture.size) > max_side:
            picture.thumbnail((max_side, max_side), Image.Resampling.BOX)
        return picture, size


def read_hole(source: str | Path | BinaryIO) -> NDArray[np.bool_]:
    """Reads a mask file: bool (H, W), missing where it is 128 or brighter; see `masks.from_image`."""
    with open_image(source) as image:
        _decode(image, "the mask")
        return masks.from_image(ImageOps.exif_transpose(image))


def to_rgb(image: Image.Image, name: str = "the picture") -> Image.Image:
    """Turns any PIL image into the RGB picture that a viewer would show.

    Raises:
        ValueError: when it is too small, too large, or of a kind without a fixed range (float).
    """
    _check_sides(image.width, image.height, name)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"{name}: {image.width}x{image.height} pixels are more than {MAX_PIXELS / 1e6:.0f} megapixels."
        )
    if image.mode == "F":
        raise ValueError(
            f"{name}: holds floating-point values, which have no fixed range; save it as 8 or 16 bit first."
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def as_picture_list(images: Pictures) -> list[NDArray[np.uint8]]:
    """Checks pictures in any of the accepted forms: a list of uint8 (H, W, 3) arrays.

    Raises:
        TypeError, ValueError: naming the form that was expected and the one seen.
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
    """Checks holes in any of the accepted forms: a list of `count` bool (H, W) arrays.

    One hole serves all pictures. Raises TypeError or ValueError like `as_picture_list`.
    """
    if isinstance(hole, Image.Image):
        hole = [hole]
    elif isinstance(hole, np.ndarray):
        hole = hole if hole.ndim == 3 else hole[None]
    elif not isinstance(hole, Sequence) or isinstance(hole, (str, bytes)):
        raise TypeError(f"hole must be a boolean array or a PIL image, got {type(hole).__name__}.")
    if len(hole) not in (1, count):
        raise ValueError(f"there are {count} pictures but {len(hole)} holes; give one hole, or one a picture.")
    holes = [_as_hole(item) for item in hole]
    return holes * count if len(holes) == 1 else holes


def fit(picture: NDArray[np.uint8], hole: NDArray[np.bool_], size: int) -> tuple[NDArray, NDArray]:
    """Crops a picture and its hole to the centre square, resizes both to the model's size.

    A model pixel is missing as soon as any part of it is. What is under the hole reaches no known
    pixel: a hole of the model's size is enlarged to the square first, and the resizing averages known pixels only.

    Args:
        picture: uint8 (H, W, 3).
        hole: bool (H, W), or (size, size): of the centre square.

    Returns:
        uint8 (size, size, 3), zero under the hole, and bool (size, size).

    Raises:
        ValueError: when the hole has neither the picture's size nor the model's.
    """
    height, width = picture.shape[:2]
    if hole.shape not in ((height, width), (size, size)):
        raise ValueError(
            f"the mask is {hole.shape[1]}x{hole.shape[0]} pixels, but the picture is {width}x{height}; "
            f"give a mask of the picture's size, or of the model's {size}x{size}."
        )
    if (height, width) != (size, size):
        left, top, right, bottom = centre_square(width, height)
        square = picture[top:bottom, left:right]
        if hole.shape == (height, width):
            picture, hole = _resize_known(square, hole[top:bottom, left:right], size)
        else:
            picture, coarse = _resize_known(square, enlarge_hole(hole, len(square)), size)
            hole = hole | coarse if len(square) < size else hole  # a picture's pixel is hidden whole or not at all
    return np.where(hole[..., None], 0, picture).astype(np.uint8), hole


def enlarge_hole(hole: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Shows a hole (size, size) at another size by nearest neighbour: bool (side, side)."""
    nearest = (np.arange(side) * 2 + 1) * len(hole) // (2 * side)
    return hole[nearest][:, nearest]


def fit_note(picture: NDArray[np.uint8], size: int) -> str:
    """What `fit` does to a picture (H, W, 3), in words; empty when nothing."""
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return ""
    crop = "" if height == width else "cropped to its centre square and "
    return f"{width}x{height} {crop}resized to {size}x{size}"


def centre_square(width: int, height: int) -> tuple[int, int, int, int]:
    """The largest centred square of a picture, as (left, top, right, bottom)."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def to_tensor(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """float (N, 3, H, W), clipped to [-1, 1], to uint8 (N, H, W, 3); the inverse of `to_tensor`."""
    levels = images.float().clamp(-1, 1).add(1).mul(127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def image_grid(images: NDArray[np.uint8], columns: int, gap: int = 0) -> Image.Image:
    """Lays out uint8 (N, H, W, 3) in rows of `columns`, with `gap` white pixels between."""
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    grid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return Image.fromarray(grid)


def _decode(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name}: the file is damaged or cut short ({error}).") from error


def _check_sides(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"{name}: {width}x{height} pixels are too few; at least {MIN_SIDE} a side are needed.")


def _as_picture(image: Picture, name: str) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        return np.asarray(to_rgb(image, name))
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name} must be a PIL image or a uint8 array, got {type(image).__name__}.")
    if image.dtype != np.uint8:
        raise TypeError(f"{name} must be uint8, 0 to 255, got {image.dtype}.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} must have shape (H, W, 3), got {image.shape}.")
    _check_sides(image.shape[1], image.shape[0], name)
    return image


def _as_hole(hole: Image.Image | NDArray[np.bool_]) -> NDArray[np.bool_]:
    if isinstance(hole, Image.Image):
        return masks.from_image(hole)
    if not isinstance(hole, np.ndarray):
        raise TypeError(f"hole must be a boolean array or a PIL image, got {type(hole).__name__}.")
    if hole.dtype != bool:
        hint = "for a 0/255 array write `array >= 128`"
        raise TypeError(f"hole must be boolean, True = missing, got {hole.dtype}; {hint}.")
    if hole.ndim != 2:
        raise ValueError(f"hole must have shape (H, W) or (N, H, W), got {hole.shape}.")
    return hole


def _resize_known(picture: NDArray[np.uint8], hole: NDArray[np.bool_], size: int) -> tuple[NDArray, NDArray]:
    """A square picture and its hole at (size, size)."""

    def resize(plane: NDArray, kernel: Image.Resampling) -> NDArray:
        return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((size, size), kernel))

    known = ~hole
    coarse_hole = resize(hole, Image.Resampling.BOX) > 0  # covers exactly each model pixel's own area
    # Hamming is the sharpest of Pillow's kernels without negative lobes, so that a weighted mean of
    # the known pixels alone is well defined wherever a model pixel is known.
    weight = resize(known, Image.Resampling.HAMMING)
    planes = [resize(picture[..., c] * known, Image.Resampling.HAMMING) for c in range(3)]
    mean = np.stack(planes, axis=2) / np.maximum(weight, 1e-6)[..., None]
    return mean.round().clip(0, 255).astype(np.uint8), coarse_hole
