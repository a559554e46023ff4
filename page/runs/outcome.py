"""The outcome of a fill."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inpainter import Result, metrics

from ..pixels import damaged
from .scene import Scene


@dataclass
class Outcome:
    """A fill of one scene, with one result row per candidate. Candidate 0 is the best."""

    id: str  # of the scene, assigned by the browser
    scene: Scene
    curve: list[tuple[int, NDArray[np.float32]]] = field(default_factory=list)  # step, context loss of each row
    seconds: float = 0
    result: Result | None = None  # once it is finished

    @property
    def rows(self) -> int:
        return len(self.result.images)

    @property
    def damaged(self) -> NDArray[np.uint8]:
        return damaged(self.scene.picture, self.scene.hole)

    @property
    def order(self) -> list[int]:
        """The rows, best first, by the sum of their ranks in context loss and prior loss."""
        context, prior = self.result.context_loss, self.result.prior_loss
        ranks = np.argsort(np.argsort(context)) + np.argsort(np.argsort(prior))
        return sorted(range(self.rows), key=lambda row: (ranks[row], context[row]))

    def row(self, candidate: int) -> int:
        return self.order[candidate]

    def filled(self, candidate: int) -> NDArray[np.uint8]:
        """Returns a candidate's filled picture (size, size, 3)."""
        return self.result.images[self.row(candidate)]

    def psnr(self, filled: NDArray[np.uint8]) -> float:
        """Returns the PSNR in dB of a filled picture against the original, over the pixels of the hole."""
        return float(metrics.psnr(filled, self.scene.picture, self.scene.hole))
