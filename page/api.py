"""The page's endpoints for programs, with stable names and documented types."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from inpainter import Result, blending, masks, metrics
from inpainter.search import PRIOR_WEIGHT
from inpainter.settings import MODES

from . import editor
from .errors import errors_as_messages
from .files import mask_picture
from .models import MODELS, examples_of, model_named
from .photo import crop, read_photo
from .runs import SEARCH, SWITCHES, fill
from .settings import MAX_STARTS, MAX_STEPS, SEED

AUTO = -1  # of the window


def inpaint(
    picture: str,
    hole: str,
    mask: str | None = None,
    hole_seed: int = 0,
    side: str = "left",
    model: str = "",
    mode: str = "fast",
    steps: int = MODES["fast"],
    prior_weight: float = PRIOR_WEIGHT,
    blend: str = "poisson",
    seed: int = 0,
    starts: int = 1,
    learning_rate: float = 0,
    window: int = AUTO,
    norm: str = "l1",
    request: gr.Request = None,
) -> Iterator[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """Fills the hole in a picture, which is cropped to its centre square and resized to the model's size.

    Streams (picture, {"step"}) while searching, then the filled picture and its losses, its PSNR in dB
    over the hole against the picture as it was given, and notes. The hole is a mask picture in which
    128 or brighter of 255 is missing, or else one of the presets. A window of 0 weighs all known pixels
    alike, one of -1 scales with the picture; a learning rate of 0 leaves the step size to the mode.
    """
    with errors_as_messages(), SWITCHES.switch(request.session_hash) as switch:
        if not picture:
            raise ValueError("There is no picture to fill.")
        if not (1 <= steps <= MAX_STEPS and 1 <= starts <= MAX_STARTS):
            raise ValueError(f"steps must be 1 to {MAX_STEPS} and starts 1 to {MAX_STARTS}, got {steps} and {starts}.")
        size = model_named(model).size
        original = crop(read_photo(picture), size)
        missing = editor.load_hole(mask, size) if mask else editor.preset_hole(hole, size, hole_seed, side)
        settings = {
            "mode": mode,
            "steps": int(steps),
            "prior_weight": prior_weight,
            "blend": blend,
            "seed": int(seed),
            "starts": int(starts),
            "learning_rate": learning_rate or None,
            "window": "auto" if window == AUTO else int(window) or None,
            "norm": norm,
        }
        for item in fill(model, original[None], missing, settings, switch):
            if isinstance(item, Result):
                yield item.images[0], details(item, original)
            else:
                yield item.images[0], {"step": item.step}


def details(result: Result, original: NDArray[np.uint8]) -> dict[str, Any]:
    """What is known of a filled picture, for a program."""
    return {
        "context_loss": float(result.context_loss[0]),
        "prior_loss": float(result.prior_loss[0]),
        "psnr": float(metrics.psnr(result.images[0], original, result.hole[0])) if result.hole.any() else None,
        "notes": list(result.notes),
    }


def make_hole(hole: str, size: int = 64, seed: int = 0, side: str = "left") -> NDArray[np.uint8]:
    """One of the preset holes as a picture, white = missing."""
    with errors_as_messages():
        if not 1 <= size <= editor.CANVAS:
            raise ValueError(f"size must be 1 to {editor.CANVAS} pixels, got {size}.")
        return mask_picture(editor.preset_hole(hole, int(size), seed, side))


def list_models() -> dict[str, Any]:
    """The models that can be asked for, the side in pixels of their pictures, and how many examples they have."""
    return {name: {"size": model_named(name).size, "examples": len(examples_of(name))} for name in MODELS}


def add_endpoints() -> None:
    """Adds /inpaint, /hole and /models to the page that is being built."""
    with gr.Column(visible=False):
        picture, mask = gr.File(label="picture"), gr.File(label="mask")
        hole = gr.Dropdown(list(masks.NAMES), value="center", label="hole")
        hole_seed, size = gr.Number(0, label="hole_seed", **SEED), gr.Number(64, precision=0, label="size")
        side = gr.Dropdown(list(masks.SIDES), value="left", label="side")
        model = gr.Dropdown(list(MODELS), value=next(iter(MODELS)), label="model")
        mode = gr.Dropdown(list(MODES), value="fast", label="mode")
        steps, starts = gr.Number(MODES["fast"], precision=0, label="steps"), gr.Number(1, precision=0, label="starts")
        prior_weight = gr.Number(PRIOR_WEIGHT, label="prior_weight")
        learning_rate = gr.Number(0, label="learning_rate")
        window = gr.Number(AUTO, precision=0, label="window")
        norm = gr.Dropdown(["l1", "l2"], value="l1", label="norm")
        blend = gr.Dropdown(list(blending.MODES), value="poisson", label="blend")
        seed = gr.Number(0, label="seed", **SEED)
        filled, facts = gr.Image(format="png", label="filled"), gr.JSON(label="details")
        trigger = gr.Button()
    search = [mode, steps, prior_weight, blend, seed, starts, learning_rate, window, norm]
    inputs = [picture, hole, mask, hole_seed, side, model, *search]
    trigger.click(inpaint, inputs, [filled, facts], api_name="inpaint", **SEARCH)
    trigger.click(make_hole, [hole, size, hole_seed, side], filled, api_name="hole")
    trigger.click(list_models, None, facts, api_name="models")
