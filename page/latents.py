"""Looking at latent codes: on the way from one to another, and in two dimensions."""

import numpy as np
from numpy.typing import NDArray


def interpolate(first: NDArray[np.float32], last: NDArray[np.float32], count: int, distribution: str) -> NDArray:
    """Codes from one to another, both included.

    Uniform codes are joined by a straight line, which stays inside their cube. Normal ones lie near a
    sphere and are joined along it (White, Sampling Generative Networks, 2016).

    Args:
        first, last: float32 (latent_size,).
        count: at least 2.
        distribution: "uniform" or "normal".

    Returns:
        float32 (count, latent_size).
    """
    share = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    if distribution == "uniform":
        return (1 - share) * first + share * last
    cosine = first @ last / max(float(np.linalg.norm(first) * np.linalg.norm(last)), 1e-12)
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    if np.sin(angle) < 1e-6:
        return (1 - share) * first + share * last
    return ((np.sin((1 - share) * angle) * first + np.sin(share * angle) * last) / np.sin(angle)).astype(np.float32)


def principal_plane(codes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Projects codes (N, latent_size) onto the two directions in which they vary most (PCA).

    Returns:
        Coordinates (N, 2), and the share of the variance that each direction explains (2,).
    """
    centred = codes - codes.mean(axis=0, dtype=np.float64)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    coordinates = np.zeros((len(codes), 2))
    kept = centred @ directions[:2].T
    coordinates[:, : kept.shape[1]] = kept
    shares = np.zeros(2)
    variance = spread**2
    shares[: len(variance[:2])] = variance[:2] / max(float(variance.sum()), 1e-12)
    return coordinates, shares
