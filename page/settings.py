"""The page's fields for the settings of a fill, and their values."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import gradio as gr
from gradio.components import Component

from inpainter import Settings
from inpainter.settings import usual_steps

from .models import model_named, offer_named

MAX_STEPS, MAX_CANDIDATES = 1500, 6
LIVE_STEPS = 100  # for centre masks as good as 300 in PSNR, in about a second on one core
MAX_SEED = 2**31 - 1
SEED = {"precision": 0, "minimum": 0, "maximum": MAX_SEED}  # of a seed field

WORDS = {  # labels of the fields' choices, and their values in `Settings`
    "mode": {"Fast": "fast", "As in the paper": "paper"},
    "window": {"Near the hole (CVPR 2017)": "auto", "All equal (2016)": None},
    "norm": {"L1, as in the paper": "l1", "L2": "l2"},
    "blend": {"Poisson blending": "auto", "Paste": "overlay"},
    "candidates": {"Auto": 0, "1": 1, "2": 2, "4": 4, "6": 6},
}
USUAL = {  # initial values of the fields; 0 leaves the choice to the library
    "mode": "fast",
    "steps": 0,
    "prior_weight": Settings().prior_weight,
    "learning_rate": 0,
    "window": "auto",
    "norm": "l1",
    "candidates": 0,
    "seed": 0,
    "blend": "auto",
}


@dataclass(frozen=True)
class Choice:
    """A visitor's settings; `candidates` = 0 means the model's default number."""

    settings: Settings = field(default_factory=Settings)
    candidates: int = 0

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """Parses what the page sends, the differences from `USUAL`; raises ValueError for values it does not offer."""
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
        """Returns a copy with a model's numbers of steps and candidates; a live fill is short, with one candidate."""
        settings = self.settings
        steps = settings.steps or usual_steps(settings.mode, model_named(model).model)
        if live:
            settings = replace(settings, mode="fast")
            steps = min(settings.steps or usual_steps("fast", model_named(model).model), LIVE_STEPS)
        candidates = 1 if live else self.candidates or offer_named(model).candidates
        return Choice(replace(settings, steps=steps), candidates)

    def rows(self) -> Settings:
        """Returns settings with one seed per candidate; each candidate equals a search with that seed alone."""
        return replace(self.settings, seed=tuple(self.settings.seed + row for row in range(self.candidates)))


def check_most(name: str, value: Any, most: int) -> None:
    """Raises ValueError unless a value is a whole number from 0 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 0 to {most}, got {value!r:.40}.")


def add_fields() -> dict[str, Component]:
    """Adds the fields to the page being built, and returns them by their names in `USUAL`."""

    def radio(name: str, label: str, info: str = "") -> gr.Radio:
        return gr.Radio(list(WORDS[name]), value=next(iter(WORDS[name])), label=label, info=info or None)

    with gr.Row():
        mode = radio("mode", "Search", "The paper's starts from a random code.")
        steps = gr.Slider(0, MAX_STEPS, 0, step=1, label="Steps", info="0: default.")
        candidates = radio("candidates", "Candidates", "Alternative fillings, best first.")
    with gr.Row():
        weight = gr.Slider(0, 0.03, USUAL["prior_weight"], step=0.001, label="Prior weight λ", info="Paper: 0.003.")
        window = radio("window", "Weighting of known pixels")
        norm = radio("norm", "Context loss")
    with gr.Row():
        blend = radio("blend", "Blending")
        seed = gr.Number(0, label="Search seed", info="Other candidates use the following seeds.", **SEED)
        rate = gr.Slider(0, 0.2, 0, step=0.005, label="Step size", info="0: default.")
    fields = {"mode": mode, "steps": steps, "prior_weight": weight, "learning_rate": rate, "window": window}
    return fields | {"norm": norm, "candidates": candidates, "seed": seed, "blend": blend}
