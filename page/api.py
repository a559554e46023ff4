"""The page's endpoints for programs and agents, with stable names and documented types."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from inpainter import Result, Settings, images, masks, metrics
from inpainter.search import PRIOR_WEIGHT
from inpainter.settings import CHOICES, MODES, usual_steps

from .errors import errors_as_messages
from .models import MODELS, model_named, offer_named
from .photo.store import decoding, read_mask, read_reduced
from .pixels import mask_picture, of_its_own
from .runs.search import search
from .runs.turns import TURNS
from .settings import MAX_SEED, MAX_STEPS, SEED, check_most

MAX_STARTS = 8
MAX_WORK = 3000  # steps times starts per call: about half a minute on one core
MAX_SIDE = 512


def picture_file(label: str) -> gr.File:
    """Returns a field for a picture file, documented with one of our examples."""
    field = gr.File(label=label)
    examples = [path for offer in MODELS.values() for path in offer.examples]
    if examples:
        field.example_payload = field.example_value = lambda: gr.FileData(path=str(examples[0])).model_dump()
    return field


def inpaint(
    picture: str,
    hole: str = "center",
    mask: str | None = None,
    hole_seed: int = 0,
    side: str = "left",
    model: str = "",
    mode: str = "fast",
    steps: int = 0,
    prior_weight: float = PRIOR_WEIGHT,
    blend: str = "auto",
    seed: int = 0,
    starts: int = 1,
    learning_rate: float = 0,
    window: int = -1,
    norm: str = "l1",
    request: gr.Request = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio requires it as a default
) -> Iterator[tuple[Image.Image | None, dict[str, Any]]]:
    """Fills the hole in a picture with plausible content.

    The picture is cropped to its centre square and resized to the model's size. Streams the current step, then the
    filled picture with its losses, its PSNR in dB over the hole against the given picture, and notes.

    Args:
        picture: the picture to fill, at most 50 megapixels.
        hole: a preset: center, pattern, random or half; ignored if there is a mask.
        mask: a mask image, white where the picture is to be filled.
        hole_seed: seed of the pattern and random holes.
        side: the side that half removes: left, right, top or bottom.
        model: the model to use; each knows one subject. See list_models.
        mode: fast, or paper for the search exactly as published.
        steps: search steps; 0 means the default.
        prior_weight: weight of the prior loss (the discriminator's score).
        blend: auto (the one that suits the model), seamless, poisson, overlay (paste) or none (the generated picture).
        seed: seed of the starting code.
        starts: number of codes to start from; the best result is returned.
        learning_rate: Adam's step size; 0 means the mode's default.
        window: side in pixels of the neighbourhood that weighs known pixels; 0 weighs all equally, -1 is the default.
        norm: norm of the context loss, l1 or l2.
    """
    with errors_as_messages(), TURNS.visit(request) as visit:
        if not picture:
            raise ValueError("Give a picture to fill.")
        offer = offer_named(model or next(iter(MODELS)))
        size = offer.size
        chosen = {"steps": steps, "learning_rate": learning_rate}  # 0 leaves these to the library
        chosen = {name: value for name, value in chosen.items() if value}
        chosen |= {} if window == -1 else {"window": window or None}
        check_most("seed", seed, MAX_SEED)
        settings = Settings(
            mode=mode, prior_weight=prior_weight, blend=blend, seed=seed, starts=starts, norm=norm, **chosen
        )
        if settings.steps is None:
            settings = replace(settings, steps=usual_steps(mode, model_named(offer.name).model))
        settings.resolved(model_named(offer.name).model, 1)  # rejects a window too large for the model
        if settings.steps > MAX_STEPS or settings.starts > MAX_STARTS or settings.steps * settings.starts > MAX_WORK:
            raise ValueError(
                f"steps must be at most {MAX_STEPS}, starts {MAX_STARTS}, and their product {MAX_WORK}; "
                f"got {settings.steps} and {settings.starts}."
            )
        pixels = _read(picture)
        original, _ = images.fit(pixels, np.zeros(pixels.shape[:2], dtype=bool), size)
        shown, missing = images.fit(pixels, _hole(mask, hole, hole_seed, side, size), size)
        for ahead in TURNS.wait(visit, settings.steps * settings.starts):
            yield None, {"step": 0, "ahead": ahead}
        for item in search(offer.name, shown[None], missing, settings, visit):
            if isinstance(item, Result):
                yield of_its_own(item.images[0]), details(item, original)
            else:
                progress(item.step / settings.steps, desc=f"Step {item.step} of {settings.steps}")
                yield None, {"step": item.step}


def details(result: Result, original: np.ndarray) -> dict[str, Any]:
    """Returns the losses, PSNR and notes of a filled picture, for programs."""
    return {
        "context_loss": float(result.context_loss[0]),
        "prior_loss": float(result.prior_loss[0]),
        "psnr": float(metrics.psnr(result.images[0], original, result.hole[0])) if result.hole.any() else None,
        "notes": list(result.notes),
    }


def make_hole(hole: str = "center", size: int = 64, seed: int = 0, side: str = "left") -> Image.Image:
    """Returns one of the preset holes as a mask image, white = missing.

    Args:
        hole: center, pattern, random or half.
        size: side of the image in pixels.
        seed: seed of the pattern and random holes.
        side: the side that half removes: left, right, top or bottom.
    """
    with errors_as_messages():
        check_most("size", size, MAX_SIDE)
        return of_its_own(mask_picture(_preset(hole, size, seed, side)))


def list_models() -> dict[str, Any]:
    """Lists the available models: subject, side of their pictures in pixels, number of examples."""
    return {
        name: {"subject": offer.subject, "size": offer.size, "examples": len(offer.examples)}
        for name, offer in MODELS.items()
    }


def _read(path: str) -> np.ndarray:
    """Reads a picture, reduced if it is large: uint8 (H, W, 3)."""
    with decoding():
        return np.asarray(read_reduced(path)[0])


def _preset(hole: str, size: int, seed: int, side: str) -> np.ndarray:
    check_most("seed", seed, MAX_SEED)
    return masks.half(size, side) if hole == "half" else masks.named(hole, size, seed)


def _hole(mask: str | None, hole: str, seed: int, side: str, size: int) -> np.ndarray:
    """Returns the hole bool (size, size) from a mask file of any size, or else a preset."""
    if not mask:
        return _preset(hole, size, seed, side)
    with decoding():
        drawn = read_mask(mask)
    left, top, right, bottom = images.centre_square(*drawn.shape[::-1])
    return images.reduce_hole(drawn[top:bottom, left:right], size)


def add_endpoints() -> None:
    """Adds /inpaint, /hole and /models to the page being built."""
    with gr.Column(visible=False):
        picture, mask = picture_file("picture"), picture_file("mask")
        hole = gr.Dropdown(list(masks.NAMES), value="center", label="hole")
        hole_seed, size = gr.Number(0, label="hole_seed", **SEED), gr.Number(64, precision=0, label="size")
        side = gr.Dropdown(list(masks.SIDES), value="left", label="side")
        model = gr.Dropdown(list(MODELS), value=next(iter(MODELS)), label="model")
        mode = gr.Dropdown(list(MODES), value="fast", label="mode")
        steps, starts = gr.Number(0, precision=0, label="steps"), gr.Number(1, precision=0, label="starts")
        prior_weight, rate = gr.Number(PRIOR_WEIGHT, label="prior_weight"), gr.Number(0, label="learning_rate")
        window = gr.Number(-1, precision=0, label="window")
        norm = gr.Dropdown(["l1", "l2"], value="l1", label="norm")
        blend = gr.Dropdown(list(CHOICES["blend"]), value="auto", label="blend")
        seed = gr.Number(0, label="seed", **SEED)
        filled, facts = gr.Image(format="png", label="filled"), gr.JSON(label="details")
        trigger = gr.Button()
    settings = [mode, steps, prior_weight, blend, seed, starts, rate, window, norm]
    inputs = [picture, hole, mask, hole_seed, side, model, *settings]
    trigger.click(inpaint, inputs, [filled, facts], api_name="inpaint", concurrency_limit=None)
    trigger.click(make_hole, [hole, size, hole_seed, side], filled, api_name="hole", concurrency_limit=4)
    trigger.click(list_models, None, facts, api_name="models")
