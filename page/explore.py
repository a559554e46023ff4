"""Looking around in a model's latent space: samples, what lies between two of them, the path of a search.

Each event returns new values of the components named in its docstring, in that order.
"""

import gradio as gr
import numpy as np
from gradio.events import Dependency

from . import editor, views
from .errors import errors_as_messages
from .latents import interpolate, principal_plane
from .models import model_named, sample_codes
from .outcomes import Outcome
from .runs import SAMPLE, generate
from .settings import SEED, THUMBNAILS

SAMPLES = 16
BETWEEN = 8  # pictures of an interpolation, both ends included
FRAMES = 8  # pictures of a path
PLANE = (640, 360)  # width and height of the plot's own coordinates
MARGIN = 24

NO_PATH = (
    '<p class="hint">There is no search to draw yet: fill a hole in the first tab, then come back. '
    "This plot shows where its codes went.</p>"
)


def add_tab(model: gr.Dropdown, model_changed: Dependency, outcome: gr.State, chosen: gr.State) -> None:
    """Adds the tab to the page that is being built.

    Args:
        model: holds the model's name; `model_changed` is the event after which it has another one.
        outcome, chosen: hold the last run, and which candidate of it to show.
    """
    with gr.Tab("Explore") as tab:
        gr.Markdown("### What the model makes of random codes")
        with gr.Row():
            seed = gr.Number(0, label="Seed of the samples", min_width=120, **SEED)
            draw = gr.Button("Draw others", min_width=120, elem_id="draw")
        samples = gr.Gallery(
            label=f"{SAMPLES} samples",
            columns=8,
            **THUMBNAILS,
            elem_id="samples",
        )
        gr.Markdown("### From one sample to another, on the line between their codes")
        with gr.Row():
            first = gr.Slider(1, SAMPLES, 1, step=1, label="From sample", min_width=140)
            last = gr.Slider(1, SAMPLES, 2, step=1, label="To sample", min_width=140)
        strip = gr.HTML(elem_id="between")
        gr.Markdown("### The path of your last search")
        path = gr.HTML(NO_PATH, elem_id="path")

    private = {"api_visibility": "private", "show_progress": "hidden"}
    ends = [model, seed, first, last]
    for event in (tab.select, seed.change, model_changed.then):
        event(show_samples, ends, [samples, strip], **private, **SAMPLE)
    draw.click(next_seed, seed, seed, queue=False, **private)
    for end in (first, last):
        end.release(show_between, ends, strip, **private, **SAMPLE)
    tab.select(show_path, [outcome, chosen], path, **private)


def show_samples(name: str, seed: int | None, first: int, last: int):
    """Samples of a model, and the pictures between two of them: (samples, between)."""
    with errors_as_messages():
        codes = sample_codes(name, SAMPLES, int(seed or 0))
        pictures = [
            (editor.shown(editor.enlarged(image, 4)), str(number))
            for number, image in enumerate(generate(name, codes), start=1)
        ]
        return gr.Gallery(pictures, selected_index=None), between(name, codes, first, last)


def next_seed(seed: int | None) -> int:
    """Other samples: sample_seed, whose change draws them."""
    return (int(seed or 0) + 1) % (SEED["maximum"] + 1)


def show_between(name: str, seed: int | None, first: int, last: int) -> str:
    """The pictures between two samples: between."""
    with errors_as_messages():
        return between(name, sample_codes(name, SAMPLES, int(seed or 0)), first, last)


def between(name: str, codes: np.ndarray, first: int, last: int) -> str:
    """A strip of pictures from one sample to another; samples count from 1."""
    distribution = getattr(model_named(name).model.config, "latent_distribution", "uniform")
    path = interpolate(codes[int(first) - 1], codes[int(last) - 1], BETWEEN, distribution)
    titles = [f"Sample {first}", *(f"{round(100 * i / (BETWEEN - 1))} %" for i in range(1, BETWEEN - 1))]
    titles.append(f"Sample {last}")
    pictures = zip(generate(name, path), titles, strict=True)
    return f'<div class="strip">{"".join(views.figure(image, title) for image, title in pictures)}</div>'


def show_path(outcome: Outcome | None, chosen: int) -> str:
    """The codes that a candidate's searches have visited, in the plane in which they vary most (CVPR fig. 3): path."""
    if outcome is None or len(outcome.previews) < 2:
        return NO_PATH
    previews, rows = outcome.previews, outcome.rows_of(chosen)
    codes = np.array([preview.latents[rows] for preview in previews])  # (previews, rows, latent_size)
    plane, shares = principal_plane(codes.reshape(-1, codes.shape[-1]))
    x, y = on_screen(plane).reshape(*codes.shape[:2], 2).transpose(2, 0, 1)  # (previews, rows) each
    marked = np.unique(np.linspace(0, len(previews) - 1, FRAMES).round().astype(int))
    lines = "".join(
        f'<polyline class="row{kind}" points="{views.points(x[:, kind], y[:, kind])}"/>'
        f'<circle class="row{kind}" cx="{x[-1, kind]:.1f}" cy="{y[-1, kind]:.1f}" r="6"/>'
        for kind in range(len(rows))
    )
    rings = "".join(
        f'<circle class="ring" cx="{x[i, 0]:.1f}" cy="{y[i, 0]:.1f}" r="4">'
        f"<title>Step {previews[i].step}</title></circle>"
        for i in marked
    )
    keys = "".join(f'<span class="row{kind}">{outcome.title(row)}</span>' for kind, row in enumerate(rows))
    frames = "".join(views.figure(previews[i].generated[rows[0]], f"Step {previews[i].step}") for i in marked)
    which = f" for candidate {chosen + 1}" if outcome.settings.candidates > 1 else ""
    return (
        f'<figure class="plane"><svg viewBox="0 0 {PLANE[0]} {PLANE[1]}" role="img" aria-label="Path of the codes in '
        f'two dimensions">{lines}{rings}</svg>'
        f"<figcaption>{keys}<br>The codes that the search{which} has visited, projected onto the two directions in "
        f"which they vary most ({shares[0]:.0%} and {shares[1]:.0%} of the variance). Discs mark the ends.</figcaption>"
        f'</figure><p class="hint">What the model makes of the code at each ring, {outcome.title(rows[0])} and before '
        f'anything is blended:</p><div class="strip">{frames}</div>'
    )


def on_screen(points: np.ndarray) -> np.ndarray:
    """Points (N, 2) scaled alike in both directions to fill the plot, y upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.array(PLANE) - 2 * MARGIN
    scale = min(room / np.maximum(high - low, 1e-9))
    centred = (points - (low + high) / 2) * scale
    return np.array(PLANE) / 2 + centred * (1, -1)
