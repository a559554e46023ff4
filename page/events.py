"""What happens when a visitor does something: the functions behind the page's buttons and fields.

Each returns new values of the components named in its docstring, in that order.
"""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from inpainter import Result

from . import editor, views
from .errors import errors_as_messages
from .outcomes import Outcome
from .photo import Photo
from .runs import SWITCHES, fill
from .settings import PRESETS, SEEDED, Settings

CANDIDATE_PIXELS = 4  # screen pixels a model pixel, before the browser scales them

# The hole


def take_preset(preset: str | None, seed: int | None, side: str, picture: np.ndarray):
    """A preset hole instead of the one that is there: (drawing, strokes)."""
    with errors_as_messages():
        if preset is None:  # cleared meanwhile
            return gr.skip(), gr.skip()
        return editor.show(picture, editor.preset_hole(PRESETS[preset], len(picture), seed, side))


def show_preset_options(preset: str | None):
    """Which options belong to a preset: (hole_seed, side)."""
    kind = PRESETS.get(preset)
    return gr.Number(visible=kind in SEEDED), gr.Radio(visible=kind == "half")


def take_mask(path: str, picture: np.ndarray):
    """A hole from a file: (drawing, strokes, preset)."""
    with errors_as_messages():
        return *editor.show(picture, editor.load_hole(path, len(picture))), None


def invert_hole(strokes: str, picture: np.ndarray):
    """Known becomes missing: (drawing, strokes, preset)."""
    return *editor.show(picture, ~editor.hole_of(strokes, len(picture))), None


def clear_hole(picture: np.ndarray):
    """No hole: (drawing, strokes, preset, hole_seed, side)."""
    nothing = np.zeros(picture.shape[:2], dtype=bool)
    return *editor.show(picture, nothing), None, *show_preset_options(None)


# Running


def run(
    name: str,
    photo: Photo,
    zoom: float,
    across: float,
    down: float,
    picture: np.ndarray,
    strokes: str,
    request: gr.Request,
    **fields: Any,
) -> Iterator[tuple]:
    """Fills the hole with and without the prior loss in one batch, as it goes; `fields` are those of the settings.

    (view, candidate gallery, before_after, full photo, full download, outcome, chosen, start, stop)
    """
    with errors_as_messages(), SWITCHES.switch(request.session_hash) as switch:
        settings = Settings.from_fields(**fields)
        hole = editor.drawn_hole(strokes, len(picture))
        if hole.all():
            gr.Warning("Nothing of the picture is left, so the result is simply a sample of the model.")
        outcome = Outcome(name, photo, (zoom, across, down), picture, hole, settings)
        begun = time.monotonic()
        for item in fill(name, np.stack([picture] * outcome.rows), hole, arguments_of(settings), switch):
            outcome.seconds = time.monotonic() - begun
            if isinstance(item, Result):
                outcome.result = item
                best = outcome.best()
                yield *show_outcome(outcome, best), gr.skip(), gr.skip(), outcome, best, *show_ready()
            else:
                # What the last run has left is hidden once, and the components are not sent again.
                old = [gr.skip()] * 4 if outcome.previews else hide_outcome()
                outcome.previews.append(item)
                yield views.running(outcome), *old, gr.skip(), gr.skip(), *show_busy()


def arguments_of(settings: Settings) -> dict[str, Any]:
    """What settings are to `Inpainter`: one row a search, in an outcome's order."""
    return {
        "mode": settings.mode,
        "steps": settings.steps,
        "prior_weight": list(np.repeat(settings.prior_weights, settings.candidates)),
        "seed": settings.seeds * len(settings.prior_weights),
        **settings.step_size,
        "window": settings.window,
        "norm": settings.norm,
        "blend": settings.blend,
    }


def show_outcome(outcome: Outcome, chosen: int):
    """A finished run: (view, candidate gallery, before_after)."""
    candidates = outcome.settings.candidates
    pictures = [
        (editor.shown(editor.enlarged(image, CANDIDATE_PIXELS)), views.candidate_caption(outcome, number))
        for number, image in enumerate(outcome.result.images[:candidates])
    ]
    gallery = gr.Gallery(pictures, selected_index=None, visible=candidates > 1)
    return views.finished(outcome, chosen), gallery, before_after_of(outcome, chosen)


def before_after_of(outcome: Outcome, chosen: int):
    """The damaged input and a candidate, to slide between."""
    pair = (outcome.damaged, outcome.result.images[chosen])
    return gr.ImageSlider([editor.shown(editor.enlarged(image, 8)) for image in pair], visible=True)


def hide_outcome():
    """While another run begins: (candidate gallery, before_after, full photo, full download)."""
    return (
        gr.Gallery(visible=False),
        gr.ImageSlider(visible=False),
        gr.Image(visible=False),
        gr.DownloadButton(visible=False),
    )


def pick(outcome: Outcome, event: gr.SelectData):
    """Another candidate of the finished run: (view, before_after, chosen)."""
    return views.finished(outcome, event.index), before_after_of(outcome, event.index), event.index


def stop_run(request: gr.Request) -> None:
    """Ends the visitor's search; what it found so far is shown as the result."""
    SWITCHES.stop(request.session_hash)


def show_busy():
    """While a search runs: (start, stop)."""
    return gr.Button(interactive=False), gr.Button(interactive=True)


def show_ready():
    """When none does: (start, stop)."""
    return gr.Button(interactive=True), gr.Button(interactive=False)
