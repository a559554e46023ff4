"""What happens when a visitor does something: the functions behind the page's buttons and fields.

Each returns new values of the components named in its docstring, in that order.
"""

import time
from collections.abc import Iterator

import gradio as gr
import numpy as np

from inpainter import Result, losses

from . import editor, snippets, views
from .errors import errors_as_messages
from .models import examples_of, first_photo, model_named
from .runs import SWITCHES, stream

PRESETS = {"Centre": "center", "Pattern": "pattern", "Random 80 %": "random", "Half": "half", "None": None}
SEEDED = ("pattern", "random")
WEIGHTS = {"Near the hole (CVPR 2017)": losses.WINDOW, "All alike (2016)": None}
NORMS = {"L1, as in the paper": "l1", "L2": "l2"}

PHOTO_NOTE = (
    "Your {width}x{height} picture is cropped to a square and resized to {size}x{size}, which is all that the model "
    "sees. Move the square until your picture is cropped like the examples: they are what it has learnt from."
)

# The picture and the hole


def take_example(name: str, drawn: editor.EditorValue, event: gr.SelectData):
    """A picture from the gallery: (photo, picture, drawing, note, crop)."""
    with errors_as_messages():
        return show_photo(editor.read_photo(examples_of(name)[event.index]), name, drawn)


def take_upload(name: str, path: str, drawn: editor.EditorValue):
    """A visitor's picture: (photo, picture, drawing, note, crop, zoom, across, down)."""
    with errors_as_messages():
        return *show_photo(editor.read_photo(path), name, drawn), 1, 50, 50


def take_model(name: str, drawn: editor.EditorValue):
    """Another model's pictures: (gallery, photo, picture, drawing, note, crop)."""
    with errors_as_messages():
        examples = examples_of(name)
        gallery = gr.Gallery(examples, selected_index=None, visible=bool(examples))
        return gallery, *show_photo(first_photo(name), name, drawn)


def show_photo(photo: np.ndarray, name: str, drawn: editor.EditorValue):
    """A new picture under the hole that is there: (photo, picture, drawing, note, crop)."""
    size = model_named(name).size
    height, width = photo.shape[:2]
    picture = editor.crop(photo, size)
    exact = (height, width) == (size, size)
    note = "" if exact else PHOTO_NOTE.format(width=width, height=height, size=size)
    return (
        photo,
        picture,
        editor.show(picture, editor.hole_of(drawn, size)),
        gr.Markdown(note, visible=not exact),
        gr.Group(visible=not exact),
    )


def move_crop(photo: np.ndarray, zoom: float, across: float, down: float, picture: np.ndarray, drawn):
    """Another part of the visitor's picture: (picture, drawing)."""
    size = len(picture)
    picture = editor.crop(photo, size, zoom, across, down)
    return picture, editor.show(picture, editor.hole_of(drawn, size))


def take_preset(preset: str, seed: int | None, side: str, picture: np.ndarray):
    """A preset hole instead of the one that is there: drawing."""
    with errors_as_messages():
        kind, size = PRESETS[preset], len(picture)
        hole = editor.preset_hole(kind, size, seed, side) if kind else np.zeros((size, size), dtype=bool)
        return editor.show(picture, hole)


def show_preset_options(preset: str):
    """Which options belong to a preset: (hole_seed, side)."""
    return gr.Number(visible=PRESETS[preset] in SEEDED), gr.Radio(visible=PRESETS[preset] == "half")


def take_mask(path: str, picture: np.ndarray):
    with errors_as_messages():
        return editor.show(picture, editor.load_hole(path, len(picture)))


def invert_hole(drawn: editor.EditorValue, picture: np.ndarray):
    return editor.show(picture, ~editor.hole_of(drawn, len(picture)))


# Running


def run(
    name: str,
    picture: np.ndarray,
    drawn: editor.EditorValue,
    steps: int,
    prior_weight: float,
    learning_rate: float,
    weighting: str,
    norm: str,
    starts: int,
    seed: int | None,
    request: gr.Request,
) -> Iterator[tuple]:
    """Fills the hole with and without the prior loss in one batch: (view, before_after, start, stop), as it goes."""
    with errors_as_messages(), SWITCHES.switch(request.session_hash) as stop:
        hole = editor.hole_of(drawn, len(picture))
        if not hole.any():
            raise ValueError("Nothing is missing yet: draw over the part to fill, or choose a hole.")
        if hole.all():
            gr.Warning("Nothing of the picture is left, so the result is simply a sample of the model.")
        weights = [prior_weight, 0.0] if prior_weight else [0.0]

        def search(callback) -> Result:
            return model_named(name)(
                np.stack([picture] * len(weights)),
                hole,
                steps=steps,
                prior_weight=weights,
                learning_rate=learning_rate,
                window=WEIGHTS[weighting],
                norm=NORMS[norm],
                starts=starts,
                seed=int(seed or 0),
                callback=callback,
            )

        shown, begun, step = views.Run(picture, hole, weights, steps), time.monotonic(), 0
        for item in stream(search, steps, stop):
            seconds = time.monotonic() - begun
            if isinstance(item, Result):
                pair = [editor.shown(editor.enlarged(image, 8)) for image in (shown.damaged, item.images[0])]
                yield views.finished(shown, item, seconds, step), gr.ImageSlider(pair, visible=True), *show_ready()
            else:
                step = item.step
                yield views.running(shown, item, seconds), gr.skip(), *show_busy()


def stop_run(request: gr.Request) -> None:
    """Ends the visitor's search; what it found so far is shown as the result."""
    SWITCHES.stop(request.session_hash)


def show_busy():
    """While a search runs: (start, stop)."""
    return gr.Button(interactive=False), gr.Button(interactive=True)


def show_ready():
    """When none does: (start, stop)."""
    return gr.Button(interactive=True), gr.Button(interactive=False)


def show_code(
    name: str,
    preset: str,
    hole_seed: int | None,
    side: str,
    picture: np.ndarray,
    drawn: editor.EditorValue,
    steps: int,
    prior_weight: float,
    learning_rate: float,
    weighting: str,
    norm: str,
    starts: int,
    seed: int | None,
    request: gr.Request,
):
    """Snippets that do what the page is set to do: (python, command, client)."""
    kind, size = PRESETS[preset], len(picture)
    if kind and (editor.preset_hole(kind, size, hole_seed, side) != editor.hole_of(drawn, size)).any():
        kind = None  # it was drawn over
    choices = snippets.Choices(
        model=name,
        preset=kind,
        hole_seed=hole_seed or 0,
        side=side,
        steps=steps,
        prior_weight=prior_weight,
        learning_rate=learning_rate,
        window=WEIGHTS[weighting],
        norm=NORMS[norm],
        starts=starts,
        seed=seed or 0,
    )
    return snippets.python(choices, size), snippets.command(choices), snippets.client(choices, str(request.base_url))
