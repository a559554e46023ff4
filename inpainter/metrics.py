"""Similarity of a filled picture to the original (PSNR, SSIM), and distances between sets of picture features."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh
from scipy.ndimage import gaussian_filter


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8], hole: NDArray[np.bool_] | None = None) -> float | NDArray:
    """Peak signal-to-noise ratio in dB; infinite for equal images.

    Args:
        a, b: uint8 (H, W, 3) or (N, H, W, 3).
        hole: bool (H, W) or (N, H, W): count only these pixels (the paper's Table 1); None: count all.

    Returns:
        A float, or float64 (N,) for a batch.

    Raises:
        TypeError, ValueError: for any other type or shape, or an empty hole.
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

    Gaussian window of standard deviation 1.5 cut to 11x11, K1 = 0.01, K2 = 0.03, excluding a border of 5 pixels
    (Wang et al. 2004, as scikit-image computes it with population statistics).

    Arguments and result as for `psnr`; images must be at least 11 pixels per side.
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


def frechet_distance(a: NDArray, b: NDArray) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features; 0 for equal sets, else positive.

    |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), with means m and covariances S. Few rows bias it upwards, so
    compare only sets of the same sizes. It is the FID only with Inception-v3 features.

    Args:
        a, b: (N, D) and (M, D), in any order; N and M at least 2.

    Raises:
        ValueError: for any other shape, or values that are not finite.

    Source: Heusel et al., *GANs Trained by a Two Time-Scale Update Rule*, NeurIPS 2017, eq. 6.
    """
    a, b = _check_features(a, 2), _check_features(b, 2)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features must have the same length, got {a.shape[1]} and {b.shape[1]}.")
    difference = a.mean(axis=0) - b.mean(axis=0)
    covariance_a, covariance_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    # tr (S_a S_b)^(1/2) = tr (R S_b R)^(1/2) with R = S_a^(1/2). R S_b R is symmetric, so its eigenvalues
    # are real and, up to rounding, non-negative; the product S_a S_b itself is not symmetric.
    values, vectors = eigh(covariance_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    middle = root @ covariance_b @ root
    trace = np.sqrt(eigvalsh((middle + middle.T) / 2).clip(0)).sum()
    distance = difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2 * trace
    return max(float(distance), 0.0)


def mean_pairwise_distance(features: NDArray) -> float:
    """Mean Euclidean distance between pairs of different rows of (N, D), N at least 2: a measure of diversity."""
    features = _check_features(features, 2)
    count = len(features)
    total = sum(_distances(features[start : start + 256], features).sum() for start in range(0, count, 256))
    return float(total / (count * (count - 1)))


def nearest(queries: NDArray, references: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Finds the row of `references` (M, D) closest to each of `queries` (N, D): its index (N,) and distance (N,)."""
    queries, references = _check_features(queries, 1), _check_features(references, 1)
    parts = [_distances(queries[start : start + 256], references) for start in range(0, len(queries), 256)]
    index = np.concatenate([part.argmin(axis=1) for part in parts])
    return index, np.concatenate([part.min(axis=1) for part in parts])


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the Euclidean distances (N, M) between rows."""
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None] - 2 * a @ b.T
    distances = np.sqrt(squared.clip(0))
    # Rounding in the difference above would leave equal rows a small distance apart.
    distances[squared < 1e-9 * np.square(a).sum(axis=1)[:, None]] = 0
    return distances


def _check_features(features: NDArray, least: int) -> NDArray[np.float64]:
    if not isinstance(features, np.ndarray) or features.ndim != 2 or len(features) < least or not features.shape[1]:
        shape = getattr(features, "shape", type(features).__name__)
        raise ValueError(f"features must be an array (N, D) of at least {least} row(s), got {shape}.")
    if not np.isfinite(features).all():
        raise ValueError("features contain NaN or infinite values.")
    return features.astype(np.float64)


def _check(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    for image in (a, b):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise TypeError(f"images must be uint8 arrays, got {getattr(image, 'dtype', type(image).__name__)}.")
    if a.shape != b.shape or a.ndim not in (3, 4) or a.shape[-1] != 3:
        raise ValueError(f"images must share a shape (H, W, 3) or (N, H, W, 3), got {a.shape} and {b.shape}.")
    return a.astype(np.float64), b.astype(np.float64)
