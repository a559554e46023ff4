"""The settings of a fill as the page's fields give them, and the fields themselves."""

from dataclasses import dataclass, replace
from typing import Any, Self

import gradio as gr
from gradio.components import Component

from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT
from inpainter.settings import MODES

MAX_STEPS, MAX_CANDIDATES = 1500, 6
LIVE_STEPS = 100  # on centre masks they reach the PSNR of 300, in about a second of one core
MAX_SEED = 2**31 - 1
SEED = {"precision": 0, "minimum": 0, "maximum": MAX_SEED}  # of a field for a seed

SEARCHES = {"Fast": "fast", "As in the paper": "paper"}
WINDOWS = {"Near the hole (CVPR 2017)": "auto", "All alike (2016)": None}
NORMS = {"L1, as in the paper": "l1", "L2": "l2"}
BLENDS = {"Poisson blending": "poisson", "Pasted": "overlay"}
CANDIDATES = {"Auto": 0, "1": 1, "2": 2, "4": 4, "6": 6}


@dataclass(frozen=True)
class Choice:
    """What a visitor has chosen. Raises ValueError, in one sentence, for what the page does not offer."""

    mode: str = "fast"
    steps: int = MODES["fast"]
    prior_weight: float = PRIOR_WEIGHT
    learning_rate: float = LEARNING_RATE  # of the paper's search; the fast one chooses its own
    window: str | None = "auto"
    norm: str = "l1"
    candidates: int = 0  # 0: as many as suit the model
    seed: int = 0
    blend: str = "poisson"

    def __post_init__(self):
        named = (("mode", SEARCHES), ("window", WINDOWS), ("norm", NORMS), ("blend", BLENDS))
        for name, offered in named:
            if getattr(self, name) not in offered.values():
                raise ValueError(f"{name} must be one of {', '.join(map(str, offered.values()))}.")
        numbers = (
            ("steps", int, 1, MAX_STEPS),
            ("candidates", int, 0, MAX_CANDIDATES),
            ("seed", int, 0, MAX_SEED),
            ("prior_weight", (int, float), 0, 1),
            ("learning_rate", (int, float), 0.001, 1),
        )
        for name, kind, least, most in numbers:
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"{name} must be a number from {least} to {most}, got {value!r:.40}.")

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """From what the page sends: an object with some of the names above."""
        if not isinstance(fields, dict) or not fields.keys() <= cls.__dataclass_fields__.keys():
            raise ValueError(f"settings must be an object of {', '.join(cls.__dataclass_fields__)}.")
        return cls(**fields)

    def of_live(self) -> Self:
        """The same for a picture that is filled while it is drawn over: one short search."""
        return replace(self, mode="fast", steps=min(self.steps, LIVE_STEPS), candidates=1)

    def arguments(self, rows: int = 1) -> dict[str, Any]:
        """As arguments of `Inpainter`: row i takes the i-th seed from the chosen one on."""
        step_size = {"learning_rate": self.learning_rate} if self.mode == "paper" else {}
        return {
            "mode": self.mode,
            "steps": self.steps,
            "prior_weight": self.prior_weight,
            "blend": self.blend,
            "seed": [self.seed + row for row in range(rows)],
            "window": 7 if self.window == "auto" else None,
            "norm": self.norm,
            **step_size,
        }


def add_fields() -> dict[str, Component]:
    """Adds the fields to the page that is being built, by their names in `Choice`."""
    usual = Choice()
    with gr.Row():
        search = gr.Radio(list(SEARCHES), value="Fast", label="Search", info="The paper's starts at a random code.")
        steps = gr.Slider(1, MAX_STEPS, usual.steps, step=1, label="Steps", info="150 fast ones do what 1500 do.")
        candidates = gr.Radio(
            list(CANDIDATES), value="Auto", label="Candidates", info="Ways to fill the hole, best first."
        )
    with gr.Row():
        weight = gr.Slider(0, 0.03, usual.prior_weight, step=0.001, label="Prior weight λ", info="Paper: 0.003.")
        window = gr.Radio(list(WINDOWS), value=next(iter(WINDOWS)), label="Known pixels that count")
        norm = gr.Radio(list(NORMS), value=next(iter(NORMS)), label="Context loss")
    with gr.Row():
        blend = gr.Radio(list(BLENDS), value=next(iter(BLENDS)), label="Blending")
        seed = gr.Number(usual.seed, label="Seed of the search", info="Further candidates take the next ones.", **SEED)
        rate = gr.Slider(
            0.005, 0.2, usual.learning_rate, step=0.005, label="Step size", info="Used by the paper's search only."
        )
    search.input(None, search, steps, js=f'(name) => name === "Fast" ? {MODES["fast"]} : {MODES["paper"]}')
    fields = {"mode": search, "steps": steps, "prior_weight": weight, "learning_rate": rate, "window": window}
    return fields | {"norm": norm, "candidates": candidates, "seed": seed, "blend": blend}


WORDS = {"mode": SEARCHES, "window": WINDOWS, "norm": NORMS, "blend": BLENDS, "candidates": CANDIDATES}
