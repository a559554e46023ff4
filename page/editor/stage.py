"""The stage and the picker: their HTML, and the configuration of their scripts."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from ..models import MODELS, Offer, sample_picture
from ..pixels import data_uri
from ..runs.scene import SAMPLE
from ..settings import USUAL, WORDS
from .presets import VARIANTS, presets

FOLDER = Path(__file__).parent
SCRIPTS = ("scene.js", "canvas.js", "stage.js", "pick.js", "frame.js")
STAGE = (FOLDER / "stage.html").read_text(encoding="utf-8")
PICK = (FOLDER / "pick.html").read_text(encoding="utf-8")


def head() -> str:
    """Returns the scripts and their configuration as one element, loaded before any component."""
    parts = [f"(() => {{\n{(FOLDER / name).read_text(encoding='utf-8')}}})();\n" for name in SCRIPTS]
    config = configuration().replace("<", "\\u003c")
    return f"<script>\nwindow.inpainter = {{ config: {config} }};\n{''.join(parts)}</script>"


def add_stage() -> gr.HTML:
    """Adds the stage, where the visitor draws and sees the result."""
    return gr.HTML(
        "",
        html_template=STAGE,
        js_on_load="window.inpainter.mountStage(element, upload)",
        apply_default_css=False,
        elem_id="stage-block",
    )


def add_pick() -> gr.HTML:
    """Adds the picker for subject, model, picture and hole."""
    return gr.HTML("", html_template=PICK, js_on_load="window.inpainter.mountPick(element)", apply_default_css=False)


def add_channel(name: str, value: str = "", sends: bool = True) -> gr.HTML:
    """Adds a hidden component that connects the scripts and Python: it `sends` to Python, or receives."""
    load = f"window.inpainter.channels.{name} = props;"
    if not sends:
        load += f" watch('value', () => window.inpainter.hear('{name}', props.value));"
    return gr.HTML(value, html_template="", js_on_load=load, visible="hidden", elem_id=f"channel-{name}")


def configuration() -> str:
    """Returns the scripts' configuration as JSON: models, examples, holes and fields."""
    models = {name: _told(offer) for name, offer in MODELS.items()}
    holes = {offer.size: presets(offer.size) for offer in MODELS.values()}
    fields = {"names": list(USUAL), "words": WORDS, "usual": USUAL}
    return json.dumps({"fields": fields, "models": models, "holes": holes, "variants": VARIANTS, "first": opening()})


def _told(offer: Offer) -> dict[str, Any]:
    examples = {path.name: str(path) for path in offer.examples}
    examples = examples or {SAMPLE: data_uri(sample_picture(offer.name))}
    return {
        "subject": offer.subject,
        "size": offer.size,
        "family": offer.family,
        "examples": examples,
    }


def opening() -> dict[str, Any]:
    """Returns the opening scene: the first model's first example with a centre hole."""
    offer = next(iter(MODELS.values()))
    example = offer.examples[0].name if offer.examples else SAMPLE
    return {
        "model": offer.name,
        "picture": f"example:{example}",
        "square": None,
        "hole": presets(offer.size)["center"],
        "preset": "center",
        "settings": {},
    }
