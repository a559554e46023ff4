"""The tab with the paper's ablation: pasted or blended, with or without the prior loss."""

import json
from collections.abc import Iterator
from dataclasses import replace

import gradio as gr
import numpy as np
from gradio.components import Component
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from inpainter import Result

from ..errors import errors_as_messages
from ..pixels import damaged, enlarged
from ..runs.scene import Asked, Scene
from ..runs.search import search
from ..runs.turns import TURNS
from .views import figure, hint, of_scene, progress

EXPLANATION = """The paper adds two parts to the search: **blending**, which keeps the generated picture's gradients and
matches the colours at the hole's rim, and a **prior**, the discriminator's score. This fills your scene with and
without each."""
RIM = 28  # side of the magnified part in model pixels
TIMES = 8  # amplification of differences
# Scenes in which each part has a visible effect. The prior has hardly any at the paper's weight, so use 100 times.
SHOWCASES = {
    "Where blending matters: a search cut short": {"example": 4, "settings": {"mode": "paper", "steps": 30}},
    "Where the prior matters: 100 times its weight": {
        "example": 7,
        "settings": {"mode": "paper", "steps": 200, "prior_weight": 0.3},
    },
}


def add_tab(scene: Component) -> None:
    """Adds the tab to the page being built; `scene` holds the browser's latest description of the scene."""
    with gr.Tab("Parts of the method"):
        gr.Markdown(EXPLANATION)
        with gr.Row():
            start = gr.Button("Compare on this scene", elem_id="parts-run", size="sm")
            shown = [gr.Button(title, size="sm") for title in SHOWCASES]
        parts = gr.HTML(elem_id="parts")
    describe = [f"() => window.inpainter.showcase({json.dumps(each)})" for each in SHOWCASES.values()]
    for button, js in zip([start, *shown], ["() => window.inpainter.compare()", *describe], strict=True):
        button.click(
            compare, scene, parts, js=js, api_visibility="private", show_progress="hidden", concurrency_limit=None
        )


def compare(asked: str, request: gr.Request) -> Iterator[str]:
    """Searches with and without the prior in one batch, and yields the four pictures as HTML."""
    with errors_as_messages():
        wanted = Asked.parse(asked)
        scene = wanted.scene_to_fill()
        weight = scene.choice.settings.prior_weight or 0.003
        settings = scene.choice.resolved(scene.model, live=False).settings
        settings = replace(settings, prior_weight=(weight, 0.0), blend="auto")
        with TURNS.visit(request, wanted.number) as visit:
            yield of_scene(wanted.id, progress("Waiting", 0))
            for ahead in TURNS.wait(visit, 2 * settings.steps):
                yield of_scene(wanted.id, progress(f"Waiting: {ahead} ahead", 0))
            for item in search(scene.model, np.stack([scene.picture] * 2), scene.hole, settings, visit, 10):
                if isinstance(item, Result):
                    short = item.steps < settings.steps
                    note = progress(f"Stopped after {item.steps} of {settings.steps} steps", 1) if short else ""
                    yield of_scene(wanted.id, note + show(scene, item, weight))
                else:
                    share = item.step / settings.steps
                    yield of_scene(wanted.id, progress(f"Step {item.step} of {settings.steps}", share))


def show(scene: Scene, result: Result, weight: float) -> str:
    """Returns as HTML: damaged, filled and original, the two-by-two matrix with magnified rims, and the differences."""
    made = {"pasted": result.compose("overlay"), "blended": result.images}  # (2, H, W, 3), with the prior first
    blended, pasted, without = made["blended"][0], made["pasted"][0], made["blended"][1]
    top = [
        figure(damaged(scene.picture, scene.hole), "Damaged"),
        figure(blended, "Filled"),
        figure(scene.picture, "Original"),
    ]
    box = rim_box(scene.hole)
    rows = ""
    for row, name in enumerate((f"With the prior, λ = {weight:g}", "Without the prior")):
        cells = "".join(
            f"<td><div class='pair'>{figure(images[row], f'{name}, {blend}')}"
            f"{figure(enlarged(images[row][box], 4), f'Rim of {name.lower()}, {blend}')}</div></td>"
            for blend, images in made.items()
        )
        rows += f'<tr><th scope="row">{name}</th>{cells}</tr>'
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("", "Pasted", "Blended"))
    differences = [
        figure(amplified(pasted, blended), f"Effect of blending, amplified {TIMES} times"),
        figure(amplified(without, blended), f"Effect of the prior, amplified {TIMES} times"),
    ]
    words = (
        f"The step across the rim is {seam(pasted, scene.hole):.1f} grey levels when pasted and "
        f"{seam(blended, scene.hole):.1f} when blended ({seam(scene.picture, scene.hole):.1f} in the original); "
        f"the prior changes the hole by {change(without, blended, scene.hole):.1f} grey levels on average."
    )
    return (
        f'<p class="verdict">{words}</p><div class="figures">{"".join(top)}</div>'
        f'<table class="matrix"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        f'<div class="figures">{"".join(differences)}</div>'
        + hint("Grey levels range from 0 to 255. Each pair shows the picture and a magnified part of the rim.")
    )


def seam(image: NDArray[np.uint8], hole: NDArray[np.bool_]) -> float:
    """Mean difference in grey levels between neighbouring pixels on either side of the hole's rim."""
    grey = image.astype(float).mean(axis=2)
    steps = []
    for axis in (0, 1):
        across = np.diff(hole.astype(int), axis=axis) != 0
        steps.append(np.abs(np.diff(grey, axis=axis))[across])
    found = np.concatenate(steps)
    return float(found.mean()) if found.size else 0.0


def change(one: NDArray[np.uint8], other: NDArray[np.uint8], hole: NDArray[np.bool_]) -> float:
    """Mean difference in grey levels inside the hole."""
    return float(np.abs(one.astype(float) - other)[hole].mean())


def amplified(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the difference of two pictures around mid-grey, amplified `TIMES`."""
    return (128 + TIMES * (one.astype(int) - other)).clip(0, 255).astype(np.uint8)


def rim_box(hole: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Returns a square of the picture that contains much of the hole's rim."""
    rim = (binary_dilation(hole) & ~hole).astype(np.uint8)
    side = min(RIM, len(hole))
    share = np.asarray(Image.fromarray(255 * rim).resize((8, 8), Image.Resampling.BOX))
    down, across = np.unravel_index(share.argmax(), share.shape)
    top, left = (min(max(0, round((at + 0.5) * len(hole) / 8) - side // 2), len(hole) - side) for at in (down, across))
    return slice(top, top + side), slice(left, left + side)
