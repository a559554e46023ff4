"""Photos larger than a model: the square it sees, and its filling blended back at full resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .blending import harmonic_solver

# Sweeps over a level of the coarse-to-fine solver, by its side in pixels: what is left to correct on
# the finer ones is only what the coarser ones could not show, which dies out within a few pixels.
SWEEPS = ((256, 40), (1024, 12), (2048, 4), (np.inf, 2))


@dataclass(frozen=True)
class Square:
    """A square part of a photo, in its pixels."""

    left: int
    top: int
    side: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns of an array (H, W, ...) that it covers."""
        return slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)


def paste_back(
    photo: NDArray[np.uint8],
    square: Square,
    generated: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    blend: str = "poisson",
) -> NDArray[np.uint8]:
    """Fills the hole of a photo at the photo's own resolution.

    The generated image is enlarged to the square. With "poisson" it keeps its gradients and takes the
    photo's colours at the rim (CVPR eq. 6), solved from coarse to fine because one factored system
    would not scale to millions of pixels; with "overlay" it is pasted.

    Args:
        photo: uint8 (H, W, 3).
        square: the part of it that the model saw, inside the photo.
        generated: uint8 (size, size, 3), the model's image G(z) of that square.
        hole: bool (size, size), True = missing.

    Returns:
        uint8 (H, W, 3): a new photo, equal to the old one outside the enlarged hole.

    Raises:
        ValueError: when the square leaves the photo, or for an unknown blend.
    """
    height, width = photo.shape[:2]
    if square.left < 0 or square.top < 0 or square.left + square.side > width or square.top + square.side > height:
        raise ValueError(f"{square} is not inside the photo of {width}x{height} pixels.")
    if blend not in ("poisson", "overlay"):
        raise ValueError(f"blend must be poisson or overlay, got {blend!r}.")
    filled = photo.copy()
    if not hole.any():
        return filled
    fine_hole = enlarge_hole(hole, square.side)
    box = _around(fine_hole)  # what the rest of the square holds does not matter
    fine_hole = fine_hole[box]
    part = filled[square.slices][box]
    fine = np.asarray(
        Image.fromarray(generated).resize((square.side, square.side), Image.Resampling.BICUBIC), dtype=np.float32
    )[box]
    if blend == "poisson" and not fine_hole.all():
        fine = fine + harmonic_fill(part - fine, fine_hole)
    part[fine_hole] = fine[fine_hole].round().clip(0, 255)
    return filled


def enlarge_hole(hole: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Shows a hole (size, size) at another size by nearest neighbour: bool (side, side)."""
    nearest = (np.arange(side) * 2 + 1) * len(hole) // (2 * side)
    return hole[nearest[:, None], nearest]


def harmonic_fill(values: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Continues values harmonically from the rim of a hole into it, from coarse to fine.

    Each level halves the one below it. Its known pixels are means over the rim pixels that they cover,
    which alone decide the solution; the coarsest is solved exactly, and every other starts from the
    coarser one and is relaxed.

    Args:
        values: float32 (H, W, C); what they are in the hole is ignored.
        hole: bool (H, W), True = missing, with at least one known pixel.

    Returns:
        float32 (H, W, C), zero outside the hole.
    """
    planes = np.where(hole, 0, np.moveaxis(values, 2, 0)).astype(np.float32)  # (C, H, W)
    weight = _rim(hole).astype(np.float32)
    levels = [(planes * weight, weight, hole)]
    while min(levels[-1][2].shape) > 48 and _coarser(levels[-1])[2].any():
        levels.append(_coarser(levels[-1]))
    solution = None
    for total, weight, missing in reversed(levels):
        known = total / np.maximum(weight, 1e-6)
        if solution is None:
            solution = _exact(known, missing)
        else:
            solution = np.where(missing, _finer(solution, missing.shape), known)
            _relax(solution, missing)
    return np.moveaxis(np.where(hole, solution, 0), 0, 2)


def _coarser(level: tuple[NDArray, NDArray, NDArray]) -> tuple[NDArray, NDArray, NDArray]:
    """Sums, weights and hole at half the resolution; a pixel is missing if all that it covers is."""
    total, weight, missing = level

    def halve(plane: NDArray) -> NDArray:
        height, width = plane.shape[-2:]
        padding = [(0, 0)] * (plane.ndim - 2) + [(0, height % 2), (0, width % 2)]
        p = np.pad(plane, padding, mode="edge")
        return p[..., ::2, ::2] + p[..., 1::2, ::2] + p[..., ::2, 1::2] + p[..., 1::2, 1::2]

    return halve(total), halve(weight), ~halve(~missing)


def _finer(planes: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Doubles the resolution of (C, h, w), bilinearly between pixel centres, cut to (C, H, W)."""
    double = (2 * planes.shape[2], 2 * planes.shape[1])
    doubled = [Image.fromarray(plane).resize(double, Image.Resampling.BILINEAR) for plane in planes]
    return np.stack([np.asarray(plane)[: shape[0], : shape[1]] for plane in doubled])


def _exact(known: NDArray[np.float32], missing: NDArray[np.bool_]) -> NDArray[np.float32]:
    solution = known.copy()
    solve = harmonic_solver(missing.tobytes(), missing.shape)
    solution[:, missing] = solve(known[:, ~missing].T).T
    return solution


def _relax(planes: NDArray[np.float32], missing: NDArray[np.bool_]) -> None:
    """Jacobi sweeps in place: every missing pixel becomes the mean of its neighbours in the image."""
    sweeps = next(count for side, count in SWEEPS if max(missing.shape) <= side)
    mean = np.empty(missing.shape, np.float32)
    for plane in planes:
        p = np.pad(plane, 1)
        for _ in range(sweeps):
            p[0], p[-1], p[:, 0], p[:, -1] = p[1], p[-2], p[:, 1], p[:, -2]  # a neighbour outside has no say
            np.add(p[:-2, 1:-1], p[2:, 1:-1], out=mean)
            mean += p[1:-1, :-2]
            mean += p[1:-1, 2:]
            mean *= 0.25
            np.copyto(p[1:-1, 1:-1], mean, where=missing)
        plane[:] = p[1:-1, 1:-1]


def _rim(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The known pixels with a missing one among their four neighbours."""
    p = np.pad(hole, 1)
    return ~hole & (p[:-2, 1:-1] | p[2:, 1:-1] | p[1:-1, :-2] | p[1:-1, 2:])


def _around(hole: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns of a hole, and one pixel more on every side."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
