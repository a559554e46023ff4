"""Measures how the fillings of a test set look; caches the results, so that an interrupted evaluation can continue."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..looks import features, measure
from . import cells

# The figures, in order; those about faces are NaN for other pictures.
FIGURES = (
    "kid",
    "kid_error",
    "c2st",
    "eyes",
    "landmarks",
    "eye_shift",
    "eye_height",
    "eye_size",
)


class Appearance:
    """Measures fillings against other intact pictures.

    Args:
        truth: uint8 (N, H, W, 3), the intact originals of the fillings.
        others: uint8 (N, H, W, 3), the intact pictures to compare with.
        folder: cache folder, or None.
        device: where the network runs.
    """

    def __init__(self, truth: NDArray[np.uint8], others: NDArray[np.uint8], folder: Path | None, device: torch.device):
        self.truth, self.others, self.folder, self.device = truth, others, folder, device

    @cached_property
    def network(self) -> features.Network:
        return features.efficientnet(features.LITE2, self.device)

    @cached_property
    def intact(self) -> measure.Intact:
        return measure.Intact.of(self.truth, self.others, self.network)

    def measure(self, filled: NDArray[np.uint8]) -> dict[str, float]:
        """Returns the figures of fillings of all of `truth`, by name."""
        return self._kept(filled, lambda: measure.looks(filled, self.intact, self.network))

    def floor(self) -> dict[str, float]:
        """Returns the figures of the intact pictures themselves."""
        return self._kept(self.truth, lambda: measure.looks(self.truth, self.intact, self.network))

    def _kept(self, filled: NDArray[np.uint8], compute) -> dict[str, float]:
        key = cells.digest({"network": features.LITE2.name, "figures": FIGURES}, filled, self.truth, self.others)
        path = self.folder / f"looks-{key}.npz" if self.folder else None
        values = cells.read_values(path) if path else None
        if values is None:
            found = compute()
            values = np.array([found.get(name, np.nan) for name in FIGURES])
            if path:
                cells.write_arrays(path, values=values)
        return dict(zip(FIGURES, map(float, values), strict=True))
