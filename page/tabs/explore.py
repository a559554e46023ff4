"""The tab with what random codes make: fillings of the hole or samples, and interpolations between two of them."""

import gradio as gr
import numpy as np
from gradio.components import Component

from ..errors import errors_as_messages
from ..models import model_named, sample_codes
from ..runs.scene import Asked
from ..runs.search import generate
from ..settings import MAX_SEED, SEED
from .views import figure, hint, of_scene

SAMPLES = 12
BETWEEN = 8  # pictures of an interpolation, both ends included

NOTHING_ERASED = "Nothing is erased yet: draw over a part to see what different codes fill it with."


def add_tab(scene: Component) -> None:
    """Adds the tab to the page being built; `scene` holds the browser's latest description of the scene."""
    with gr.Tab("Explore") as tab:
        with gr.Row():
            seed = gr.Number(0, label="Sample seed", min_width=120, **SEED)
            draw = gr.Button("New samples", min_width=120, elem_id="draw")
        samples = gr.HTML(elem_id="samples")
    private = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 1}
    describe = "(scene, seed) => [window.inpainter.describe(), seed]"
    gr.on([tab.select, seed.change], show, [scene, seed], samples, js=describe, **private)
    draw.click(None, seed, seed, js=f"(seed) => (seed + 1) % {MAX_SEED}")


def show(asked: str, seed: int | None) -> str:
    """Returns what random codes make of the scene, and the interpolation between the first two, as HTML."""
    with errors_as_messages():
        wanted = Asked.parse(asked)
        scene = wanted.scene()
        fills = model_named(scene.model).model.conditional
        if fills and not scene.hole.any():
            return of_scene(wanted.id, hint(NOTHING_ERASED))
        codes = sample_codes(scene.model, SAMPLES, int(seed or 0))
        shares = np.linspace(0, 1, BETWEEN, dtype=np.float32)[:, None]
        codes = np.concatenate([codes, (1 - shares) * codes[0] + shares * codes[1]])
        images = generate(scene.model, codes, scene.picture, scene.hole)
        captions = [*(f"Sample {number + 1}" for number in range(SAMPLES)), *(f"{share:.0%}" for share in shares[:, 0])]
        figures = [figure(image, caption) for image, caption in zip(images, captions, strict=True)]
        what = f"The hole, filled by {scene.model} from random codes:" if fills else f"Samples of {scene.model}:"
        html = (
            hint(what)
            + f'<div class="figures many">{"".join(figures[:SAMPLES])}</div>'
            + hint("Interpolation from the first code to the second:")
            + f'<div class="figures many">{"".join(figures[SAMPLES:])}</div>'
        )
        return of_scene(wanted.id, html) if fills else html  # other models' samples are of no scene
