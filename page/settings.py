"""The settings of a fill as the page's fields give them, and the fields themselves."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import gradio as gr
from gradio.components import Component

from inpainter import Settings
from inpainter.settings import usual_steps

from .models import model_named, offer_named

MAX_STEPS, MAX_CANDIDATES = 1500, 6
LIVE_STEPS = 100  # on centre masks they reach the PSNR of 300, in about a second of one core
MAX_SEED = 2**31 - 1
SEED = {"precision": 0, "minimum": 0, "maximum": MAX_SEED}  # of a field for a seed

WORDS = {  # what the fields say, and what it is to `Settings`
    "mode": {"Fast": "fast", "As in the paper": "paper"},
    "window": {"Near the hole (CVPR 2017)": "auto", "All alike (2016)": None},
    "norm": {"L1, as in the paper": "l1", "L2": "l2"},
    "blend": {"Poisson blending": "poisson", "Pasted": "overlay"},
    "candidates": {"Auto": 0, "1": 1, "2": 2, "4": 4, "6": 6},
}
USUAL = {  # what the fields begin with; 0 leaves the choice to the library
    "mode": "fast",
    "steps": 0,
    "prior_weight": Settings().prior_weight,
    "learning_rate": 0,
    "window": "auto",
    "norm": "l1",
    "candidates": 0,
    "seed": 0,
    "blend": "poisson",
}


@dataclass(frozen=True)
class Choice:
    """What a visitor has chosen; `candidates` is 0 for as many as suit the model."""

    settings: Settings = field(default_factory=Settings)
    candidates: int = 0

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """From what the page sends: what differs from `USUAL`. Raises ValueError for what the page does not offer."""
        if not isinstance(fields, dict) or not fields.keys() <= USUAL.keys():
            raise ValueError(f"settings must be an object of {', '.join(USUAL)}.")
        candidates = fields.get("candidates", 0)
        chosen = {name: value for name, value in fields.items() if name != "candidates"}
        settings = Settings(**chosen)
        check_most("steps", settings.steps or 0, MAX_STEPS)
        check_most("seed", settings.seed, MAX_SEED)
        check_most("candidates", candidates, MAX_CANDIDATES)
        return cls(settings, candidates)

    def resolved(self, model: str, live: bool) -> Self:
        """With the number of steps and of candidates that a model takes; a live one is short, and one candidate."""
        settings = self.settings
        steps = settings.steps or usual_steps(settings.mode, model_named(model).model)
        if live:
            settings = replace(settings, mode="fast")
            steps = min(settings.steps or usual_steps("fast", model_named(model).model), LIVE_STEPS)
        candidates = 1 if live else self.candidates or offer_named(model).candidates
        return Choice(replace(settings, steps=steps), candidates)

    def rows(self) -> Settings:
        """One row a candidate: each is the search that its seed alone would be."""
        return replace(self.settings, seed=tuple(self.settings.seed + row for row in range(self.candidates)))


def check_most(name: str, value: Any, most: int) -> None:
    """Raises ValueError unless a value is one whole number from 0 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 0 to {most}, got {value!r:.40}.")


def add_fields() -> dict[str, Component]:
    """Adds the fields to the page that is being built, by their names in `USUAL`."""

    def radio(name: str, label: str, info: str = "") -> gr.Radio:
        return gr.Radio(list(WORDS[name]), value=next(iter(WORDS[name])), label=label, info=info or None)

    with gr.Row():
        mode = radio("mode", "Search", "The paper's starts at a random code.")
        steps = gr.Slider(0, MAX_STEPS, 0, step=1, label="Steps", info="0: the usual number.")
        candidates = radio("candidates", "Candidates", "Ways to fill the hole, best first.")
    with gr.Row():
        weight = gr.Slider(0, 0.03, USUAL["prior_weight"], step=0.001, label="Prior weight λ", info="Paper: 0.003.")
        window = radio("window", "Known pixels that count")
        norm = radio("norm", "Context loss")
    with gr.Row():
        blend = radio("blend", "Blending")
        seed = gr.Number(0, label="Seed of the search", info="Further candidates take the next ones.", **SEED)
        rate = gr.Slider(0, 0.2, 0, step=0.005, label="Step size", info="0: the usual one.")
    fields = {"mode": mode, "steps": steps, "prior_weight": weight, "learning_rate": rate, "window": window}
    return fields | {"norm": norm, "candidates": candidates, "seed": seed, "blend": blend}
