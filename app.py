"""The page: erase part of a picture and watch it being filled. Layout and events only."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from inpainter import Result, losses, masks
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT
from page import api, editor, snippets, views
from page.api import MAX_STARTS, MAX_STEPS, SEARCH, STEPS, SWITCHES, errors_as_messages
from page.models import FOLDER, MODELS, examples_of, model_named
from page.runs import stream

PRESETS = {"Centre": "center", "Pattern": "pattern", "Random 80 %": "random", "Half": "half", "None": None}
SEEDED = ("pattern", "random")
WEIGHTS = {"Near the hole (CVPR 2017)": losses.WINDOW, "All alike (2016)": None}
NORMS = {"L1, as in the paper": "l1", "L2": "l2"}
QUEUE_SIZE = 32  # visitors who may wait; more are asked to come back later

INTRODUCTION = """# Inpainter
Erase part of a face, and watch a new one appear: semantic inpainting by searching a generator's latent space
(Yeh et al., CVPR 2017)."""
PHOTO_NOTE = (
    "Your {width}x{height} picture is cropped to a square and resized to {size}x{size}, which is all that the model "
    "sees. Move the square until your picture is cropped like the examples: they are what it has learnt from."
)

THEME = gr.themes.Default(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


# The picture and the hole. Each returns what it changes, in the order of the components named.


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
        return gr.Gallery(examples, selected_index=None), *show_photo(editor.read_photo(examples[0]), name, drawn)


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
        hole = api.preset_hole(kind, size, seed, side) if kind else np.zeros((size, size), dtype=bool)
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
    if kind and (api.preset_hole(kind, size, hole_seed, side) != editor.hole_of(drawn, size)).any():
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


def build() -> gr.Blocks:
    """The page itself."""
    first = next(iter(MODELS))
    size = model_named(first).size
    first_photo = editor.read_photo(examples_of(first)[0])
    first_picture = editor.crop(first_photo, size)

    # The first search of a process is slow to start: let it be this one and not a visitor's.
    model_named(first)(first_picture, masks.center(size), steps=1)

    with gr.Blocks(title="Inpainter", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as page:
        photo, picture = gr.State(first_photo), gr.State(first_picture)
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        model = gr.Dropdown(list(MODELS), value=first, label="Model", visible=len(MODELS) > 1)
        with gr.Tab("Inpaint"), gr.Row():
            with gr.Column(scale=5, min_width=320):
                gallery = gr.Gallery(
                    examples_of(first),
                    label="Pictures the model has never seen",
                    columns=8,
                    height="auto",
                    allow_preview=False,
                    interactive=False,
                    format="png",
                    buttons=[],
                    elem_id="examples",
                )
                upload = gr.UploadButton("Use your own picture", file_types=["image"], size="sm")
                note = gr.Markdown(visible=False, elem_id="note")
                with gr.Group(visible=False) as crop, gr.Row():
                    zoom = gr.Slider(1, 6, 1, step=0.1, label="Zoom", min_width=140)
                    across = gr.Slider(0, 100, 50, step=1, label="Across, %", min_width=140)
                    down = gr.Slider(0, 100, 50, step=1, label="Down, %", min_width=140)
                preset = gr.Radio(
                    list(PRESETS),
                    value="Centre",
                    label="Hole",
                    info="Start from one of these, then draw or erase.",
                    elem_id="preset",
                )
                hole_seed = gr.Number(0, label="Seed of the hole", precision=0, minimum=0, visible=False)
                side = gr.Radio(masks.SIDES, value="left", label="Missing half", visible=False)
                drawing = gr.ImageEditor(
                    editor.show(first_picture, masks.center(size)),
                    label="Draw the hole",
                    type="numpy",
                    format="png",
                    sources=[],
                    transforms=[],
                    layers=False,
                    brush=gr.Brush(editor.BRUSH_SIZE, colors=[editor.HOLE_COLOUR], color_mode="fixed"),
                    eraser=gr.Eraser(editor.BRUSH_SIZE),
                    canvas_size=(editor.CANVAS, editor.CANVAS),
                    height=480,
                    buttons=[],
                    elem_id="editor",
                )
                with gr.Row():
                    invert = gr.Button("Invert the hole", size="sm", min_width=100)
                    upload_mask = gr.UploadButton("Upload a mask", file_types=["image"], size="sm", min_width=100)
                with gr.Accordion("Settings", open=False):
                    steps = gr.Slider(1, MAX_STEPS, STEPS, step=1, label="Steps", info="The paper takes 1500.")
                    prior_weight = gr.Slider(
                        0,
                        0.03,
                        PRIOR_WEIGHT,
                        step=0.001,
                        label="Prior weight λ",
                        info="The paper takes 0.003; 0 is off.",
                    )
                    learning_rate = gr.Slider(0.005, 0.2, LEARNING_RATE, step=0.005, label="Step size of the optimiser")
                    weighting = gr.Radio(list(WEIGHTS), value=next(iter(WEIGHTS)), label="Known pixels that count")
                    norm = gr.Radio(list(NORMS), value=next(iter(NORMS)), label="Context loss")
                    starts = gr.Slider(
                        1,
                        MAX_STARTS,
                        1,
                        step=1,
                        label="Starts",
                        info="Searches from several codes at once, keeps the best.",
                    )
                    seed = gr.Number(0, label="Seed of the search", precision=0, minimum=0)
            with gr.Column(scale=6, min_width=320):
                with gr.Row():
                    start = gr.Button("Run", variant="primary", elem_id="run", min_width=100)
                    stop = gr.Button("Stop", interactive=False, elem_id="stop", min_width=100)
                view = gr.HTML(views.WELCOME, elem_id="view")
                before_after = gr.ImageSlider(
                    label="Before and after", format="png", interactive=False, visible=False, elem_id="before-after"
                )
        with gr.Tab("Use it in your code") as code:
            gr.Markdown(snippets.EXPLANATION)
            python = gr.Code(language="python", label="Python", interactive=False)
            command = gr.Code(language="shell", label="Command line", interactive=False)
            client = gr.Code(language="python", label="This page's API, with gradio_client", interactive=False)
        api.add_endpoints()

        private = {"api_visibility": "private", "show_progress": "hidden"}
        quick = private | {"queue": False}
        shown = [photo, picture, drawing, note, crop]
        place = [zoom, across, down]
        gallery.select(take_example, [model, drawing], shown, **private)
        upload.upload(take_upload, [model, upload, drawing], [*shown, *place], **private)
        model.input(take_model, [model, drawing], [gallery, *shown], **private)
        for slider in place:
            slider.release(move_crop, [photo, *place, picture, drawing], [picture, drawing], **private)
        upload_mask.upload(take_mask, [upload_mask, picture], drawing, **private)
        invert.click(invert_hole, [drawing, picture], drawing, **private)
        preset.input(show_preset_options, preset, [hole_seed, side], **quick)
        for option in (preset, hole_seed, side):
            option.input(take_preset, [preset, hole_seed, side, picture], drawing, **private)

        settings = [steps, prior_weight, learning_rate, weighting, norm, starts, seed]
        running = start.click(
            run,
            [model, picture, drawing, *settings],
            [view, before_after, start, stop],
            api_visibility="private",
            show_progress_on=view,
            **SEARCH,
        )
        running.failure(show_ready, None, [start, stop], **quick)
        stop.click(stop_run, None, None, **quick)
        page.unload(stop_run)
        code.select(
            show_code,
            [model, preset, hole_seed, side, picture, drawing, *settings],
            [python, command, client],
            **quick,
        )
    return page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=8)


def main() -> None:
    if not MODELS:
        sys.exit(f"{FOLDER} holds no model: expected at least one folder with a config.json.")
    try:
        page = build()
    except ValueError as error:
        sys.exit(str(error))
    style = Path(__file__).parent / "page" / "style.css"
    local = "SPACE_ID" not in os.environ and (sys.platform != "linux" or bool(os.environ.get("DISPLAY")))
    page.launch(inbrowser=local, share=False, theme=THEME, css_paths=style, footer_links=["api"])


if __name__ == "__main__":
    main()
