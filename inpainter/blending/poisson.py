"""Composes a generated image into the hole: overlay and Poisson blending (CVPR section 3.3, eq. 6)."""

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from .harmonic import harmonic_solver
from .seamless import outward

MODES = ("seamless", "poisson", "overlay", "none")


def compose(pictures: Tensor, generated: Tensor, hole: Tensor, blend: str = "poisson") -> Tensor:
    """Fills the hole of each picture from its generated image.

    Args:
        pictures, generated: float (N, 3, H, W) in [-1, 1]; `pictures` is ignored in the hole.
        hole: bool (N, H, W), True = missing.
        blend: "seamless", "poisson", "overlay" (paste) or "none" (the generated image itself). The first two differ at
            the rim of the hole, see `seamless.outward`.

    Returns:
        float (N, 3, H, W) in [-1, 1]; outside the hole exactly `pictures`, unless blend is "none".
    """
    if blend == "none":
        return generated
    if blend == "overlay":
        return torch.where(hole[:, None], generated, pictures)
    if blend == "seamless":
        return poisson(pictures, outward(generated, hole), hole)
    if blend == "poisson":
        return poisson(pictures, generated, hole)
    raise ValueError(f"blend must be one of {', '.join(MODES)}, got {blend!r}.")


def poisson(pictures: Tensor, generated: Tensor, hole: Tensor) -> Tensor:
    """Keeps the generated image's gradients in the hole and the picture's colours at its rim (eq. 6).

    The minimiser is x = G + h, where h extends the difference y - G harmonically from the known pixels into the hole:
    one sparse symmetric system per distinct hole, factored once for all channels of all images that share it. A
    picture that is entirely missing becomes G itself.

    Arguments and result as for `compose`.
    """
    difference = (pictures - generated).double().cpu().numpy()  # (N, 3, H, W)
    holes = hole.cpu().numpy()
    correction = np.zeros_like(difference)
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, missing in enumerate(holes):
        if missing.any() and not missing.all():
            rows_of[missing.tobytes()].append(row)
    for hole_bytes, rows in rows_of.items():
        flat_hole = holes[rows[0]].ravel()
        known = difference[rows].reshape(len(rows) * 3, -1)[:, ~flat_hole]  # (3 N, known pixels)
        solve = harmonic_solver(hole_bytes, holes.shape[1:])
        filled = np.zeros((len(rows) * 3, flat_hole.size))
        filled[:, flat_hole] = solve(known.T).T
        correction[rows] = filled.reshape(len(rows), *difference.shape[1:])
    blended = generated + torch.from_numpy(correction).to(generated)
    return torch.where(hole[:, None], blended.clamp(-1, 1), pictures)
