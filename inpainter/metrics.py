"""How close a filled picture is to the original: PSNR and SSIM."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8], hole: NDArray[np.bool_] | None = None) -> float | NDArray:
    """Peak signal-to-noise ratio in dB; infinite for equal images.

    Args:
        a, b: uint8 (H, W, 3) or (N, H, W, 3).
        hole: bool (H, W) or (N, H, W): only these pixels count (the paper's Table 1); None: all do.

    Returns:
        A float, or float64 (N,) for a batch.

    Raises:
        TypeError, ValueError: for other types or shapes, or an empty hole.
    """
    a, b = _check(a, b)
    squared = np.square(a - b).mean(axis=-1)  # (..., H, W)
    if hole is None:
        error = squared.mean(axis=(-2, -1))
    else:
        if hole.dtype != bool or hole.shape[-2:] != squared.shape[-2:] or hole.ndim > squared.ndim:
            raise ValueError(f"hole must be boolean of shape {squared.shape}, got {hole.dtype} {hole.shape}.")
        missing = np.broadcast_to(hole, squared.shape)
        count = missing.sum(axis=(-2, -1))
        if (count == 0).any():
            raise ValueError("the hole is empty, so there are no pixels to compare.")
        error = (squared * missing).sum(axis=(-2, -1)) / count
    with np.errstate(divide="ignore"):
        decibels = 10 * np.log10(255.0**2 / error)
    return float(decibels) if decibels.ndim == 0 else decibels


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float | NDArray:
    """Structural similarity, mean over pixels and channels; 1 for equal images.

    Gaussian window of deviation 1.5 cut to 11x11, K1 = 0.01, K2 = 0.03, the border of 5 pixels left
    out (Wang et al. 2004, as scikit-image computes it with population statistics).

    Args and result as for `psnr`; images must be at least 11 pixels a side.
    """
    a, b = _check(a, b)
    if min(a.shape[-3:-1]) < 11:
        raise ValueError(f"SSIM needs images of at least 11x11 pixels, got {a.shape}.")

    def blur(x: NDArray) -> NDArray:
        return gaussian_filter(x, sigma=1.5, truncate=3.5, axes=(-3, -2))

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    value = similarity[..., 5:-5, 5:-5, :].mean(axis=(-3, -2, -1))
    return float(value) if value.ndim == 0 else value


def _check(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    for image in (a, b):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise TypeError(f"images must be uint8 arrays, got {getattr(image, 'dtype', type(image).__name__)}.")
    if a.shape != b.shape or a.ndim not in (3, 4) or a.shape[-1] != 3:
        raise ValueError(f"images must share a shape (H, W, 3) or (N, H, W, 3), got {a.shape} and {b.shape}.")
    return a.astype(np.float64), b.astype(np.float64)
