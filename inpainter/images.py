"""Fits pictures and holes to a model; the only place where formats change.

At the edge: PIL images or uint8 (H, W, 3) / (N, H, W, 3). Inside: float32 (N, 3, H, W) in [-1, 1].
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def fit(picture: NDArray[np.uint8], hole: NDArray[np.bool_], size: int) -> tuple[NDArray, NDArray]:
    """Crops a picture and its hole to the centre square and resizes both to the model's size.

    A model pixel is missing if any part of it is. Pixels under the hole never affect known pixels: a hole at the
    model's size is first enlarged to the square, and resizing averages known pixels only.

    Args:
        picture: uint8 (H, W, 3).
        hole: bool (H, W), or (size, size) over the centre square.

    Returns:
        Picture uint8 (size, size, 3), zero in the hole, and hole bool (size, size).

    Raises:
        ValueError: if the hole has neither the picture's size nor the model's.
    """
    height, width = picture.shape[:2]
    if hole.shape not in ((height, width), (size, size)):
        raise ValueError(
            f"the mask is {hole.shape[1]}x{hole.shape[0]} pixels, but the picture is {width}x{height}; "
            f"give a mask of the picture's size or of the model's, {size}x{size}."
        )
    if (height, width) != (size, size):
        left, top, right, bottom = centre_square(width, height)
        square = picture[top:bottom, left:right]
        if hole.shape == (height, width):
            picture, hole = _resize_known(square, hole[top:bottom, left:right], size)
        else:
            picture, coarse = _resize_known(square, enlarge_hole(hole, len(square)), size)
            hole = hole | coarse if len(square) < size else hole  # upscaling: a picture pixel is missing as a whole
    return np.where(hole[..., None], 0, picture).astype(np.uint8), hole


def enlarge_hole(hole: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Resizes a hole (size, size) by nearest neighbour: bool (side, side)."""
    nearest = (np.arange(side) * 2 + 1) * len(hole) // (2 * side)
    return hole[nearest][:, nearest]


def reduce_hole(hole: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Resizes a square hole to bool (side, side): a pixel is missing if any part of it is."""
    edges = np.arange(side + 1) * len(hole)  # of the new pixels, in units of 1/side of an old one
    spans = np.stack([edges[:-1] // side, -(-edges[1:] // side)], 1).ravel()  # first and end of the old ones they touch
    for _ in range(2):  # rows, then columns
        hole = np.logical_or.reduceat(np.pad(hole, ((0, 1), (0, 0))), spans)[::2].T
    return np.ascontiguousarray(hole)


def fit_note(picture: NDArray[np.uint8], size: int) -> str:
    """Describes what `fit` does to a picture (H, W, 3); empty if nothing."""
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return ""
    crop = "" if height == width else "cropped to its centre square and "
    return f"{width}x{height} {crop}resized to {size}x{size}"


def centre_square(width: int, height: int) -> tuple[int, int, int, int]:
    """Returns the largest centred square of a picture as (left, top, right, bottom)."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def to_tensor(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """Converts uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """Converts float (N, 3, H, W), clipped to [-1, 1], to uint8 (N, H, W, 3); the inverse of `to_tensor`."""
    levels = images.float().clamp(-1, 1).add(1).mul(127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def image_grid(images: NDArray[np.uint8], columns: int, gap: int = 0) -> Image.Image:
    """Lays out images uint8 (N, H, W, 3) in rows of `columns`, separated by `gap` white pixels."""
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    grid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return Image.fromarray(grid)


def _resize_known(picture: NDArray[np.uint8], hole: NDArray[np.bool_], size: int) -> tuple[NDArray, NDArray]:
    """Resizes a square picture and its hole to (size, size), averaging known pixels only."""

    def resize(plane: NDArray, kernel: Image.Resampling) -> NDArray:
        return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((size, size), kernel))

    known = ~hole
    # Hamming is the sharpest of Pillow's kernels without negative lobes, so the weighted mean of the
    # known pixels is well defined wherever a model pixel is known.
    weight = resize(known, Image.Resampling.HAMMING)
    planes = [resize(picture[..., c] * known, Image.Resampling.HAMMING) for c in range(3)]
    mean = np.stack(planes, axis=2) / np.maximum(weight, 1e-6)[..., None]
    return mean.round().clip(0, 255).astype(np.uint8), reduce_hole(hole, size)
