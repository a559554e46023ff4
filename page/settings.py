"""What a visitor can set, and between which bounds."""

from dataclasses import dataclass
from typing import Self

from inpainter import losses, masks
from inpainter.pipeline import MODES
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT

MAX_STEPS, MAX_STARTS, MAX_CANDIDATES = 1500, 8, 6
SEED = {"precision": 0, "minimum": 0, "maximum": 2**31 - 1}  # of a field for a seed

PRESETS = {"Centre": "center", "Pattern": "pattern", "Random 80 %": "random", "Half": "half"}
SEEDED = ("pattern", "random")
SIDES = masks.SIDES
SEARCHES = {"Fast": "fast", "As in the paper": "paper"}
WEIGHTS = {"Near the hole (CVPR 2017)": losses.WINDOW, "All alike (2016)": None}
NORMS = {"L1, as in the paper": "l1", "L2": "l2"}
BLENDS = {"Poisson blending": "poisson", "Overlay": "overlay"}


@dataclass(frozen=True)
class Settings:
    """How to search, and how to put what was found into the hole."""

    mode: str = "fast"
    steps: int = MODES["fast"]
    prior_weight: float = PRIOR_WEIGHT
    learning_rate: float = LEARNING_RATE  # of the paper's search; the fast one has steps of its own
    window: int | None = losses.WINDOW
    norm: str = "l1"
    candidates: int = 1
    seed: int = 0
    blend: str = "poisson"

    @classmethod
    def from_fields(
        cls,
        search: str,
        steps: int,
        prior_weight: float,
        learning_rate: float,
        weighting: str,
        norm: str,
        candidates: int,
        seed: int | None,
        blend: str,
    ) -> Self:
        """What the page's fields say, in their order there."""
        return cls(
            mode=SEARCHES[search],
            steps=int(steps),
            prior_weight=prior_weight,
            learning_rate=learning_rate,
            window=WEIGHTS[weighting],
            norm=NORMS[norm],
            candidates=int(candidates),
            seed=int(seed or 0),
            blend=BLENDS[blend],
        )

    @property
    def step_size(self) -> dict[str, float]:
        """The optimiser's step size as an argument of the search, where that takes one."""
        return {"learning_rate": self.learning_rate} if self.mode == "paper" else {}

    @property
    def seeds(self) -> list[int]:
        """One a candidate: each is the search that this seed alone would be."""
        return [self.seed + number for number in range(self.candidates)]

    @property
    def prior_weights(self) -> list[float]:
        """What is compared: with the prior loss, if it is on, and without it."""
        return [self.prior_weight, 0.0] if self.prior_weight else [0.0]
