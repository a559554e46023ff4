"""Hole masks: boolean (size, size) arrays in which True means missing.

The paper's four kinds (CVPR section 4): centre, pattern, random and half.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

SIDES = ("left", "right", "top", "bottom")
THRESHOLD = 128  # of 255; mask-image pixels at least this bright are missing
NAMES = ("center", "pattern", "random", "half")


def center(size: int) -> NDArray[np.bool_]:
    """Returns the centred square, half as wide as the picture: 32x32 of 64x64."""
    _check_size(size)
    hole = np.zeros((size, size), dtype=bool)
    quarter = size // 4
    hole[quarter : size - quarter, quarter : size - quarter] = True
    return hole


def random(size: int, missing: float = 0.8, seed: int = 0) -> NDArray[np.bool_]:
    """Scatters single missing pixels; their share is exactly `missing`, rounded to a pixel."""
    return _highest(np.random.default_rng(seed).random((_check_size(size), size)), missing)


def pattern(size: int, missing: float = 0.25, seed: int = 0) -> NDArray[np.bool_]:
    """Draws irregular smooth blobs; their share is exactly `missing`, rounded to a pixel.

    Blurred noise, thresholded to give that share. The blur scales with the picture, so the blobs look alike at every
    size.
    """
    noise = np.random.default_rng(seed).standard_normal((_check_size(size), size))
    return _highest(gaussian_filter(noise, sigma=size / 16, mode="reflect"), missing)


def half(size: int, side: str = "left") -> NDArray[np.bool_]:
    """Returns a mask with one half missing: `side` is "left", "right", "top" or "bottom"."""
    _check_size(size)
    hole = np.zeros((size, size), dtype=bool)
    middle = size // 2
    match side:
        case "left":
            hole[:, :middle] = True
        case "right":
            hole[:, middle:] = True
        case "top":
            hole[:middle] = True
        case "bottom":
            hole[middle:] = True
        case _:
            raise ValueError(f"side must be one of {', '.join(SIDES)}, got {side!r}.")
    return hole


def named(name: str, size: int, seed: int = 0) -> NDArray[np.bool_]:
    """Returns one of the paper's four masks by name, with its default missing share."""
    match name:
        case "center":
            return center(size)
        case "pattern":
            return pattern(size, seed=seed)
        case "random":
            return random(size, seed=seed)
        case "half":
            return half(size)
    raise ValueError(f"the mask name must be one of {', '.join(NAMES)}, got {name!r}.")


def from_image(image: Image.Image) -> NDArray[np.bool_]:
    """Reads a mask image: bool (H, W), missing where any channel is 128 or more of 255.

    An image with transparent parts is read as a drawn layer instead: missing where its alpha is 128 or more. A lower
    threshold would let JPEG ringing grow the hole.
    """
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if (alpha < 255).any():
            return alpha >= THRESHOLD
    if image.mode.startswith(("I", "F")):  # convert("L") would clip these
        levels = np.asarray(image)
        return levels >= (THRESHOLD * 257 if levels.max(initial=0) > 255 else THRESHOLD)  # 16-bit, or 8-bit
    return (np.asarray(image.convert("RGB")) >= THRESHOLD).any(axis=2)


def _highest(values: NDArray, missing: float) -> NDArray[np.bool_]:
    if not 0 <= missing <= 1:
        raise ValueError(f"missing must be a fraction from 0 to 1, got {missing}.")
    hole = np.zeros(values.size, dtype=bool)
    hole[np.argsort(values, axis=None, kind="stable")[values.size - round(missing * values.size) :]] = True
    return hole.reshape(values.shape)


def _check_size(size: int) -> int:
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}.")
    return size
