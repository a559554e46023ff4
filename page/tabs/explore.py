"""What a model makes of random codes, and what lies between two of them."""

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
BETWEEN = 8  # pictures from one sample to the next, both ends included


def add_tab(scene: Component) -> None:
    """Adds the tab to the page that is being built; `scene` holds what the browser last described."""
    with gr.Tab("Explore") as tab:
        with gr.Row():
            seed = gr.Number(0, label="Seed of the samples", min_width=120, **SEED)
            draw = gr.Button("Draw others", min_width=120, elem_id="draw")
        samples = gr.HTML(elem_id="samples")
    private = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 1}
    describe = "(scene, seed) => [window.inpainter.describe(), seed]"
    gr.on([tab.select, seed.change], show, [scene, seed], samples, js=describe, **private)
    draw.click(None, seed, seed, js=f"(seed) => (seed + 1) % {MAX_SEED}")


def show(asked: str, seed: int | None) -> str:
    """Samples of the scene's model, and the pictures between the first two, as HTML."""
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
            hint(f"What {name} makes of random codes, with no picture to agree with:")
            + f'<div class="figures many">{strips[0]}</div>'
            + hint("On the line from the first code to the second:")
            + f'<div class="figures many">{strips[1]}</div>'
        )
