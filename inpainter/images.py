"""Fitting pictures and holes to a model; the only place where formats change.

At the edge: PIL images or uint8 (H, W, 3) / (N, H, W, 3). Inside: float32 (N, 3, H, W) in [-1, 1].
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


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
