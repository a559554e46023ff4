"""What a visitor can set, between which bounds, and the fields for it."""

from dataclasses import dataclass, replace
from typing import Self

import gradio as gr
from gradio.components import Component

from inpainter import masks
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT
from inpainter.settings import MODES

MAX_STEPS, MAX_STARTS, MAX_CANDIDATES = 1500, 8, 6
# Of a live run: on centre masks 100 steps reach the PSNR of 300, in about a second of one core.
LIVE_STEPS = 100
SEED = {"precision": 0, "minimum": 0, "maximum": 2**31 - 1}  # of a field for a seed
# Of a gallery to choose from.
THUMBNAILS = {"height": "auto", "allow_preview": False, "interactive": False, "format": "png", "buttons": []}

PRESETS = {"Centre": "center", "Pattern": "pattern", "Random 80 %": "random", "Half": "half"}
SEEDED = ("pattern", "random")
SIDES = masks.SIDES
SEARCHES = {"Fast": "fast", "As in the paper": "paper"}
WEIGHTS = {"Near the hole (CVPR 2017)": "auto", "All alike (2016)": None}
NORMS = {"L1, as in the paper": "l1", "L2": "l2"}
BLENDS = {"Poisson blending": "poisson", "Overlay": "overlay"}


@dataclass(frozen=True)
class Settings:
    """How to search, and how to put what was found into the hole."""

    mode: str = "fast"
    steps: int = MODES["fast"]
    prior_weight: float = PRIOR_WEIGHT
    learning_rate: float = LEARNING_RATE  # of the paper's search; the fast one has steps of its own
    window: int | str | None = "auto"
    norm: str = "l1"
    candidates: int = 1
    seed: int = 0
    blend: str = "poisson"
    compare: bool = True  # with a search without the prior loss

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
        """What the page's fields say, by their names in `add_fields`."""
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
        return [self.prior_weight, 0.0] if self.compare and self.prior_weight else [self.prior_weight]

    def live(self) -> Self:
        """The same for a picture that is filled while it is drawn over: one short search."""
        return replace(self, mode="fast", steps=LIVE_STEPS, candidates=1, compare=False)


def add_fields() -> dict[str, Component]:
    """Adds the fields to the page that is being built, by their names in `Settings.from_fields`."""
    default = Settings()
    candidates = gr.Slider(
        1,
        MAX_CANDIDATES,
        default.candidates,
        step=1,
        label="Candidates",
        info="Different ways to fill the hole, side by side; each takes about as long again.",
    )
    with gr.Accordion("Settings", open=False):
        search = gr.Radio(
            list(SEARCHES),
            value=next(iter(SEARCHES)),
            label="Search",
            info="The fast one chooses its start and its step sizes; the paper's starts anywhere.",
        )
        steps = gr.Slider(
            1,
            MAX_STEPS,
            default.steps,
            step=1,
            label="Steps",
            info=f"{default.steps} of the fast search do what the paper's 1500 do.",
        )
        prior_weight = gr.Slider(
            0,
            0.03,
            default.prior_weight,
            step=0.001,
            label="Prior weight λ",
            info="The paper takes 0.003; 0 is off.",
        )
        learning_rate = gr.Slider(
            0.005,
            0.2,
            default.learning_rate,
            step=0.005,
            label="Step size of the optimiser",
            visible=False,
        )
        weighting = gr.Radio(list(WEIGHTS), value=next(iter(WEIGHTS)), label="Known pixels that count")
        norm = gr.Radio(list(NORMS), value=next(iter(NORMS)), label="Context loss")
        blend = gr.Radio(
            list(BLENDS),
            value=next(iter(BLENDS)),
            label="Blending",
            info="Of what you see forming, and of the downloads; the comparison shows both.",
        )
        seed = gr.Number(
            default.seed,
            label="Seed of the search",
            info="Where it starts; further candidates take the numbers after it.",
            **SEED,
        )
    search.input(
        show_mode, search, [steps, learning_rate], api_visibility="private", show_progress="hidden", queue=False
    )
    return {
        "search": search,
        "steps": steps,
        "prior_weight": prior_weight,
        "learning_rate": learning_rate,
        "weighting": weighting,
        "norm": norm,
        "candidates": candidates,
        "seed": seed,
        "blend": blend,
    }


def show_mode(search: str):
    """Another kind of search: (steps, learning_rate)."""
    mode = SEARCHES[search]
    return MODES[mode], gr.Slider(visible=mode == "paper")
