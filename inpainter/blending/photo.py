"""Photos larger than the model's size: the square the model sees, and blending its filling back at full resolution."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..images import enlarge_hole, reduce_hole
from .harmonic import harmonic_solver
from .seamless import outward

# (largest side in pixels, sweeps) per level of the coarse-to-fine solver. Finer levels need fewer: they only correct
# what coarser levels could not represent, which dies out within a few pixels.
SWEEPS = ((256, 40), (1024, 12))
BAND = 4  # width in pixels, and number of sweeps, near the rim of still larger levels; the rest is interpolated
BLENDS = ("seamless", "poisson", "overlay")
STRIP = 64  # rows composed at once, so that they stay in the CPU cache


@dataclass(frozen=True)
class Square:
    """A square region of a photo, in pixels."""

    left: int
    top: int
    side: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of the rows and columns of an array (H, W, ...)."""
        return slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)


def paste_back(
    photo: NDArray[np.uint8],
    square: Square,
    generated: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    blend: str = "poisson",
) -> NDArray[np.uint8]:
    """Fills the hole of a photo at the photo's own resolution.

    The generated image is enlarged to the square. "poisson" keeps its gradients and matches the photo's colours at the
    rim (CVPR eq. 6), solved coarse to fine because a factored system would not scale to millions of pixels; "seamless"
    first drops what the generated image shows outside the hole, see `seamless.outward`; "overlay" pastes it.

    Args:
        photo: uint8 (H, W, 3).
        square: the region of the photo that the model saw.
        generated: uint8 (size, size, 3), the model's image G(z) for the square.
        hole: bool (size, size), or (side, side) at the photo's own resolution, True = missing.

    Returns:
        uint8 (H, W, 3): a new photo, equal to the original outside the enlarged hole.

    Raises:
        ValueError: if the square is not inside the photo, or the blend is unknown.
    """
    height, width = photo.shape[:2]
    if square.left < 0 or square.top < 0 or square.left + square.side > width or square.top + square.side > height:
        raise ValueError(f"{square} is not inside the photo of {width}x{height} pixels.")
    if blend not in BLENDS:
        raise ValueError(f"blend must be {', '.join(BLENDS[:-1])} or {BLENDS[-1]}, got {blend!r}.")
    filled = photo.copy()
    if not hole.any():
        return filled
    if blend == "seamless":
        coarse_hole = torch.from_numpy(reduce_hole(hole, len(generated)))[None]
        continued = outward(torch.from_numpy(generated).permute(2, 0, 1)[None].float(), coarse_hole)
        generated = continued[0].permute(1, 2, 0).round().byte().numpy()
    # Add a pixel on each side, within the photo, by repeating the generated image's edge.
    resize = enlarge_hole if square.side >= len(hole) else reduce_hole  # which loses no part of it
    fine_hole = np.pad(resize(hole, square.side), 1)
    fine = Image.fromarray(generated).resize((square.side, square.side), Image.Resampling.BICUBIC)
    fine = np.pad(np.asarray(fine), ((1, 1), (1, 1), (0, 0)), mode="edge")
    inside = tuple(
        slice(max(1 - start, 0), min(square.side + 2, length + 1 - start))
        for start, length in ((square.top, height), (square.left, width))
    )
    fine_hole, fine = fine_hole[inside], fine[inside]
    part = filled[max(square.top - 1, 0) :, max(square.left - 1, 0) :]
    box = _around(fine_hole)  # pixels further from the hole do not matter
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
    """Extends values harmonically from the rim of a hole into it, coarse to fine.

    Each level halves the resolution of the previous one. Its known pixels are means over the rim pixels they cover,
    which alone determine the solution. The coarsest level is solved exactly; every other starts from the next coarser
    one and is relaxed, the largest only near the rim.

    Args:
        values: float32 (C, M), values of the known pixels adjacent to the hole.
        rim: (M,), indices of these pixels in the flattened hole.
        hole: bool (H, W), True = missing, with at least one known pixel.

    Returns:
        float32 (C, H, W); values outside the hole are meaningless.
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
    """Halves the resolution of a hole; a coarse pixel is missing if every pixel it covers is."""
    p = np.pad(missing, [(0, side % 2) for side in missing.shape], mode="edge")
    return p[::2, ::2] & p[1::2, ::2] & p[::2, 1::2] & p[1::2, 1::2]


def _finer(planes: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Doubles the resolution of (C, h, w) bilinearly and crops to (C, H, W)."""
    double = (2 * planes.shape[2], 2 * planes.shape[1])
    finer = np.empty((len(planes), *shape), np.float32)
    for plane, out in zip(planes, finer, strict=True):
        out[:] = np.asarray(Image.fromarray(plane).resize(double, Image.Resampling.BILINEAR))[: shape[0], : shape[1]]
    return finer


def _solve(planes: NDArray[np.float32], missing: NDArray[np.bool_]) -> None:
    """Fills the missing pixels of planes (C, H, W) exactly, in place."""
    planes[:, missing] = harmonic_solver(missing.tobytes(), missing.shape)(planes[:, ~missing].T).T


def _relax(planes: NDArray[np.float32], missing: NDArray[np.bool_]) -> None:
    """Runs Jacobi sweeps in place: each missing pixel becomes the mean of its neighbours inside the image."""
    sweeps = next(count for side, count in SWEEPS if max(missing.shape) <= side)
    mean = np.empty(missing.shape, np.float32)
    for plane in planes:
        p = np.pad(plane, 1)
        for _ in range(sweeps):
            p[0], p[-1], p[:, 0], p[:, -1] = p[1], p[-2], p[:, 1], p[:, -2]  # Neumann condition at the image's edge
            np.add(p[:-2, 1:-1], p[2:, 1:-1], out=mean)
            mean += p[1:-1, :-2]
            mean += p[1:-1, 2:]
            mean *= 0.25
            np.copyto(p[1:-1, 1:-1], mean, where=missing)
        plane[:] = p[1:-1, 1:-1]


def _relax_near(planes: NDArray[np.float32], missing: NDArray[np.bool_], rim: NDArray[np.intp]) -> None:
    """Like `_relax`, but only for missing pixels within `BAND` pixels of the rim (flat indices)."""
    left, found, front = missing.ravel().copy(), [], rim
    for _ in range(BAND):
        front = _neighbours(front, missing.shape)
        front = np.sort(front[left[front]])
        front = front[np.diff(front, prepend=-1) > 0]  # drop duplicates; np.unique takes ten times as long
        left[front] = False
        found.append(front)
    band = np.concatenate(found)
    around = _neighbours(band, missing.shape)  # (4, pixels)
    for plane in planes.reshape(len(planes), -1):
        for _ in range(BAND):
            plane[band] = plane[around].mean(axis=0)


def _neighbours(index: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.intp]:
    """Returns the four neighbours (4, N) of pixels given by flat index; the pixel itself replaces one outside."""
    row, column = np.divmod(index, shape[1])
    up, down = np.maximum(row - 1, 0), np.minimum(row + 1, shape[0] - 1)
    left, right = np.maximum(column - 1, 0), np.minimum(column + 1, shape[1] - 1)
    return np.stack([up * shape[1] + column, down * shape[1] + column, row * shape[1] + left, row * shape[1] + right])


def _rim(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the known pixels that have a missing pixel among their four neighbours."""
    p = np.pad(hole, 1)
    return ~hole & (p[:-2, 1:-1] | p[2:, 1:-1] | p[1:-1, :-2] | p[1:-1, 2:])


def _around(hole: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Returns the rows and columns that bound a hole, plus one pixel on every side."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
