"""One run of a visitor: what went in, where it stands, and what came out."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inpainter import Result, metrics

from .photo import Photo, Place
from .runs import Preview
from .settings import Settings

GREY = 128  # what a missing pixel looks like


@dataclass
class Outcome:
    """A run. Its rows are searches: first those with the prior loss, one a candidate, then those without it."""

    model: str
    photo: Photo
    place: Place  # of the picture in the photo
    picture: NDArray[np.uint8]  # (H, W, 3), intact
    hole: NDArray[np.bool_]  # (H, W)
    settings: Settings
    previews: list[Preview] = field(default_factory=list)  # so far
    seconds: float = 0
    result: Result | None = None  # once it is finished

    @property
    def steps_done(self) -> int:
        return self.previews[-1].step if self.previews else 0

    @property
    def damaged(self) -> NDArray[np.uint8]:
        return damaged(self.picture, self.hole)

    @property
    def rows(self) -> int:
        return self.settings.candidates * len(self.settings.prior_weights)

    def candidate(self, row: int) -> int:
        return row % self.settings.candidates

    def prior_weight(self, row: int) -> float:
        return self.settings.prior_weights[row // self.settings.candidates]

    def rows_of(self, candidate: int) -> list[int]:
        """A candidate's rows, the one with the prior loss first."""
        return [row for row in range(self.rows) if self.candidate(row) == candidate]

    def title(self, row: int) -> str:
        return "with the prior loss" if self.prior_weight(row) else "without the prior loss"

    def best(self) -> int:
        """The candidate that ended with the lowest loss."""
        return int(self.result.loss[: self.settings.candidates].argmin())

    def psnr(self, filled: NDArray[np.uint8]) -> float:
        """PSNR in dB of a filled picture against the original, over the pixels of the hole."""
        return float(metrics.psnr(filled, self.picture, self.hole))


def damaged(picture: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with its hole (H, W) greyed out."""
    return np.where(hole[..., None], GREY, picture).astype(np.uint8)
