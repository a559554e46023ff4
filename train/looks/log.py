"""Measures looks for a training log: periodically and cheaply, on held-out pictures."""

import numpy as np
import torch
from torch import Tensor

from inpainter import masks

from . import features
from .measure import Fill, Intact, looks

PICTURES = 150  # pictures to fill, and as many intact ones to compare with, if enough are held out
LEAST_PICTURES = 4  # held out: two to fill, two to compare with
MASKS = ("center", "half")
LOGGED = ("kid", "c2st", "landmarks", "eye_height")


class LooksLog:
    """Measures looks every `every` steps (0 counts as 1); measures the intact pictures on first use."""

    def __init__(self, every: int):
        self.every, self.last = max(1, every), 0
        self.network: features.Network | None = None

    def measure(self, step: int, fill: Fill, held_out: Tensor) -> dict[str, float]:
        """Returns figures such as kid_center on held-out pictures uint8 (N, 3, H, W); empty if not due."""
        if step // self.every == self.last // self.every:
            return {}
        self.last = step
        if self.network is None:
            self._prepare(held_out)
        found = {}
        for mask in MASKS:
            hole = masks.named(mask, held_out.shape[2])
            filled = fill(self.intact.truth, np.stack([hole] * len(self.intact.truth)), 0)
            measured = looks(filled, self.intact, self.network, cascade=False)
            found |= {f"{name}_{mask}": round(measured[name], 3) for name in LOGGED if name in measured}
        return found

    def _prepare(self, held_out: Tensor) -> None:
        self.network = features.efficientnet(features.LITE2)
        images = np.ascontiguousarray(held_out.permute(0, 2, 3, 1).numpy())
        count = min(PICTURES, len(images) // 2)
        with torch.no_grad():
            self.intact = Intact.of(images[-2 * count : -count], images[-count:], self.network)
