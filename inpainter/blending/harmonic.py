"""Extends values from the known pixels of a picture harmonically into its hole."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded

KEPT = 8  # factored systems in the cache; one of 128 pixels takes 2 to 17 MB, and 4 to 30 ms to make


@lru_cache(maxsize=KEPT)
def harmonic_solver(hole_bytes: bytes, shape: tuple[int, int]) -> Callable[[NDArray], NDArray]:
    """Factors one hole's Poisson system, which is symmetric, positive definite and banded.

    `scipy.sparse.linalg.splu` would leak memory: only the thread that made its factors can free them (scipy issue
    15921), and on the page every search is a thread of its own.

    Args:
        hole_bytes: the bytes of a bool (H, W) array with both known and missing pixels.
        shape: (H, W).

    Returns:
        A function from values on the known pixels (known, K) to values on the missing pixels (missing, K), in
        row-major order, for K right-hand sides at once.
    """
    hole = np.frombuffer(hole_bytes, dtype=bool)
    pixels = np.arange(hole.size).reshape(shape)
    pixels = (pixels if shape[0] >= shape[1] else pixels.T).ravel()  # along the shorter side: a narrower band
    missing = pixels[hole[pixels]]
    rows = grid_laplacian(*shape)[missing].tocsc()
    # The Laplacian of h is zero at each missing pixel: split it into unknown and known terms.
    factor = cholesky_banded(lower_bands(rows[:, missing]), overwrite_ab=True, lower=True, check_finite=False)
    boundary = rows[:, np.flatnonzero(~hole)].tocsr()
    row_major = np.argsort(missing)

    def solve(known: NDArray) -> NDArray:
        return cho_solve_banded((factor, True), -(boundary @ known), overwrite_b=True, check_finite=False)[row_major]

    return solve


def lower_bands(matrix: sparse.sparray) -> NDArray[np.float64]:
    """Returns the diagonal of a symmetric matrix (N, N) and those below it, as LAPACK stores them: (bands, N)."""
    entries = matrix.tocoo()
    below = entries.row >= entries.col
    column, distance = entries.col[below], (entries.row - entries.col)[below]
    bands = np.zeros((distance.max() + 1, matrix.shape[0]))
    bands[distance, column] = entries.data[below]
    return bands


@lru_cache(maxsize=8)
def grid_laplacian(height: int, width: int) -> sparse.csr_array:
    """Returns the grid Laplacian (H W, H W): number of neighbours inside the image on the diagonal, -1 for each."""

    def path(length: int) -> sparse.dia_array:  # Laplacian of a line of pixels
        degree = np.full(length, 2.0)
        degree[[0, -1]] -= 1
        off = np.full(length - 1, -1.0)
        return sparse.diags_array([off, degree, off], offsets=[-1, 0, 1])

    return sparse.csr_array(
        sparse.kron(sparse.eye_array(height), path(width)) + sparse.kron(path(height), sparse.eye_array(width))
    )
