"""Photos larger than a model: the square it sees, and its filling blended back at full resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..images import enlarge_hole
from .poisson import harmonic_solver

# Sweeps over a level of the coarse-to-fine solver, by its side in pixels: what is left to correct on
# the finer ones is only what the coarser ones could not show, which dies out within a few pixels.
SWEEPS = ((256, 40), (1024, 12))
BAND = 4  # pixels from the rim, and sweeps, on levels that are larger still: the rest is interpolated
STRIP = 64  # rows that are composed at once, so that they stay in the processor's cache


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
    # One pixel more on each side, as far as the photo goes: the generated image is taken to go on there as it ends.
    fine_hole = np.pad(enlarge_hole(hole, square.side), 1)
    fine = Image.fromarray(generated).resize((square.side, square.side), Image.Resampling.BICUBIC)
    fine = np.pad(np.asarray(fine), ((1, 1), (1, 1), (0, 0)), mode="edge")
    inside = tuple(
        slice(max(1 - start, 0), min(square.side + 2, length + 1 - start))
        for start, length in ((square.top, height), (square.left, width))
    )
    fine_hole, fine = fine_hole[inside], fine[inside]
    part = filled[max(square.top - 1, 0) :, max(square.left - 1, 0) :]
    box = _around(fine_hole)  # what is further from the hole does not matter
    fine_hole, fine, part = fine_hole[box], fine[box], part[box]
    if blend == "overlay" or fine_hole.all():
        np.copyto(part, fine, where=fine_hole[..., None])
        return filled
    rim = np.flatnonzero(_rim(fine_hole))
    difference = part.reshape(-1, 3)[rim].astype(np.float32) - fine.reshape(-1, 3)[rim]
    correction = np.moveaxis(harmonic_fill(difference.T, rim, fine_hole), 0, 2)
    for top in range(0, len(part), STRIP):
        strip = slice(top, top + STRIP)
        blended = (correction[strip] + fine[strip]).round().clip(0, 255)
        np.copyto(part[strip], blended, where=fine_hole[strip, :, None], casting="unsafe")
    return filled


def harmonic_fill(values: NDArray[np.float32], rim: NDArray[np.intp], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Continues values harmonically from the rim of a hole into it, from coarse to fine.

    Each level halves the one below it. Its known pixels are means over the rim pixels that they cover,
    which alone decide the solution; the coarsest is solved exactly, and every other starts from the
    coarser one and is relaxed, the largest only near the rim.

    Args:
        values: float32 (C, M), of the known pixels that touch the hole.
        rim: where these are, as indices into the flattened hole (M,).
        hole: bool (H, W), True = missing, with at least one known pixel.

    Returns:
        float32 (C, H, W); what it holds outside the hole has no meaning.
    """
    holes = [hole]
    while min(holes[-1].shape) > 48 and (coarser := _coarser(holes[-1])).any():
        holes.append(coarser)
    solution = None
    for halvings, missing in reversed(list(enumerate(holes))):
        row, column = np.divmod(rim, hole.shape[1])
        cells, which = np.unique((row >> halvings) * missing.shape[1] + (column >> halvings), return_inverse=True)
        known = np.stack([np.bincount(which, plane) for plane in values]) / np.bincount(which)  # (C, cells)
        if solution is None:
            solution = np.zeros((len(values), *missing.shape), np.float32)
        else:
            solution = _finer(solution, missing.shape)
        solution.reshape(len(values), -1)[:, cells] = np.where(missing.ravel()[cells], 0, known)
        if halvings == len(holes) - 1:
            _solve(solution, missing)
        elif max(missing.shape) <= SWEEPS[-1][0]:
            _relax(solution, missing)
        else:
            _relax_near(solution, missing, cells)
    return solution


def _coarser(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The hole at half the resolution; a pixel is missing if all that it covers is."""
    p = np.pad(missing, [(0, side % 2) for side in missing.shape], mode="edge")
    return p[::2, ::2] & p[1::2, ::2] & p[::2, 1::2] & p[1::2, 1::2]


def _finer(planes: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Doubles the resolution of (C, h, w), bilinearly between pixel centres, cut to (C, H, W)."""
    double = (2 * planes.shape[2], 2 * planes.shape[1])
    finer = np.empty((len(planes), *shape), np.float32)
    for plane, out in zip(planes, finer, strict=True):
        out[:] = np.asarray(Image.fromarray(plane).resize(double, Image.Resampling.BILINEAR))[: shape[0], : shape[1]]
    return finer


def _solve(planes: NDArray[np.float32], missing: NDArray[np.bool_]) -> None:
    """Fills the missing pixels of planes (C, H, W) exactly, in place."""
    planes[:, missing] = harmonic_solver(missing.tobytes(), missing.shape)(planes[:, ~missing].T).T


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


def _relax_near(planes: NDArray[np.float32], missing: NDArray[np.bool_], rim: NDArray[np.intp]) -> None:
    """As `_relax`, but only the missing pixels within a few steps of the rim (flat indices)."""
    left, found, front = missing.ravel().copy(), [], rim
    for _ in range(BAND):
        front = _neighbours(front, missing.shape)
        front = np.sort(front[left[front]])
        front = front[np.diff(front, prepend=-1) > 0]  # each once; np.unique takes ten times as long
        left[front] = False
        found.append(front)
    band = np.concatenate(found)
    around = _neighbours(band, missing.shape)  # (4, pixels)
    for plane in planes.reshape(len(planes), -1):
        for _ in range(BAND):
            plane[band] = plane[around].mean(axis=0)


def _neighbours(index: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.intp]:
    """The four neighbours of pixels given by flat index: (4, N); the pixel itself for one outside the image."""
    row, column = np.divmod(index, shape[1])
    up, down = np.maximum(row - 1, 0), np.minimum(row + 1, shape[0] - 1)
    left, right = np.maximum(column - 1, 0), np.minimum(column + 1, shape[1] - 1)
    return np.stack([up * shape[1] + column, down * shape[1] + column, row * shape[1] + left, row * shape[1] + right])


def _rim(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The known pixels with a missing one among their four neighbours."""
    p = np.pad(hole, 1)
    return ~hole & (p[:-2, 1:-1] | p[2:, 1:-1] | p[1:-1, :-2] | p[1:-1, 2:])


def _around(hole: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns of a hole, and one pixel more on every side."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
