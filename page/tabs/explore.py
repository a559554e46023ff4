"""The tab with samples of a model, and interpolations between two of them."""

import gradio as gr
import numpy as np
from gradio.components import Component

from ..errors import errors_as_messages
from ..models import offer_named, sample_codes
from ..runs.scene import Asked
from ..runs.search import generate
from ..settings import MAX_SEED, SEED
from .views import figure, hint

SAMPLES = 12
BETWEEN = 8  # pictures of an interpolation, both ends included


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
    """Returns samples of the scene's model, and the interpolation between the first two, as HTML."""
    with errors_as_messages():
        name = offer_named(Asked.parse(asked).fields.get("model")).name
        codes = sample_codes(name, SAMPLES, int(seed or 0))
        shares = np.linspace(0, 1, BETWEEN, dtype=np.float32)[:, None]
        between = generate(name, (1 - shares) * codes[0] + shares * codes[1])
        strips = [
            "".join(figure(image, f"Sample {number}") for number, image in enumerate(generate(name, codes), start=1)),
            "".join(figure(image, f"{share:.0%}") for image, share in zip(between, shares[:, 0], strict=True)),
        ]
        return (
            hint(f"Unconditional samples of {name}, from random codes:")
            + f'<div class="figures many">{strips[0]}</div>'
            + hint("Interpolation from the first code to the second:")
            + f'<div class="figures many">{strips[1]}</div>'
        )
