"""The page: erase part of a picture and watch it being filled. Layout and events only."""

import html
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import gradio as gr
import numpy as np

from inpainter import Inpainter, Result, masks
from inpainter.models.base import CONFIG_NAME
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT
from page import editor, views
from page.runs import StopSwitches, stream

HERE = Path(__file__).parent
MODELS = {folder.parent.name: folder.parent for folder in sorted(HERE.glob(f"hub_models/*/{CONFIG_NAME}"))}
STEPS = 400  # about 8 s on two cores; the paper's 1500 take half a minute
PRESETS = {"Centre": "center", "Pattern": "pattern", "Random 80 %": "random", "Half": "half", "None": None}
QUEUE_SIZE = 32  # visitors who may wait; more are told to come back later

SWITCHES = StopSwitches()

THEME = gr.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


@cache
def model_named(name: str) -> Inpainter:
    """Loads each model once, whoever asks."""
    return Inpainter.from_pretrained(MODELS[name])


def examples_of(name: str) -> list[str]:
    return sorted(map(str, MODELS[name].glob("examples/*.png")))


@contextmanager
def errors_as_toasts():
    """Shows a visitor's mistakes as one sentence, and leaves the page as it was."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise gr.Error(html.escape(str(error)), title="Not possible", print_exception=False) from error


# The picture and the hole


def take_example(name: str, drawn: editor.EditorValue, event: gr.SelectData):
    return take_picture(name, examples_of(name)[event.index], drawn)


def take_picture(name: str, path: str, drawn: editor.EditorValue):
    """A new picture under the hole that is there: (picture, editor, note)."""
    with errors_as_toasts():
        size = model_named(name).size
        picture, note = editor.load_picture(path, size)
        return picture, editor.show(picture, editor.hole_of(drawn, size)), note


def take_model(name: str, drawn: editor.EditorValue):
    """Another model's pictures: (gallery, picture, editor, note)."""
    return gr.Gallery(examples_of(name), selected_index=None), *take_picture(name, examples_of(name)[0], drawn)


def take_preset(preset: str, seed: int, side: str, picture: np.ndarray):
    """A preset hole instead of the one that is there."""
    with errors_as_toasts():
        size = len(picture)
        match PRESETS[preset]:
            case None:
                hole = np.zeros((size, size), dtype=bool)
            case "half":
                hole = masks.half(size, side)
            case kind:
                hole = masks.named(kind, size, seed)
        return editor.show(picture, hole)


def show_preset_options(preset: str):
    """Which options belong to a preset: (seed, side)."""
    return gr.Number(visible=PRESETS[preset] in ("pattern", "random")), gr.Radio(visible=PRESETS[preset] == "half")


def take_mask(path: str, picture: np.ndarray):
    with errors_as_toasts():
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
    starts: int,
    seed: int,
    request: gr.Request,
) -> Iterator[tuple]:
    """Fills the hole with and without the prior loss: (view, before/after) as it goes."""
    with errors_as_toasts(), SWITCHES.switch(request.session_hash) as stop:
        hole = editor.hole_of(drawn, len(picture))
        if not hole.any():
            raise ValueError("Nothing is missing yet: draw over the part to fill, or choose a hole.")
        if hole.all():
            gr.Warning("Nothing of the picture is left, so the result is simply a sample of the model.")
        weights = [prior_weight, 0.0] if prior_weight else [0.0]
        search = partial(
            model_named(name),
            np.stack([picture] * len(weights)),
            hole,
            steps=steps,
            prior_weight=weights,
            seed=seed,
            starts=starts,
            learning_rate=learning_rate,
        )
        shown = views.Run(picture, hole, weights, steps)
        start, step = time.monotonic(), 0
        for item in stream(lambda report: search(callback=report), steps, stop):
            seconds = time.monotonic() - start
            if isinstance(item, Result):
                view = views.finished(shown, item, seconds, step)
                yield (
                    view,
                    gr.ImageSlider((views.enlarged(shown.damaged), views.enlarged(item.images[0])), visible=True),
                )
            else:
                step = item.step
                yield views.running(shown, item, seconds), gr.skip()


def stop_run(request: gr.Request) -> None:
    """Ends the visitor's search; what it found so far is shown as the result."""
    SWITCHES.stop(request.session_hash)


def show_running():
    return gr.Button(interactive=False), gr.Button(interactive=True)


def show_ready():
    return gr.Button(interactive=True), gr.Button(interactive=False)


def build() -> gr.Blocks:
    """The page itself."""
    first = next(iter(MODELS))
    size = model_named(first).size
    first_picture, _ = editor.load_picture(examples_of(first)[0], size)
    first_editor = editor.show(first_picture, masks.center(size))

    with gr.Blocks(title="Inpainter", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown("# Inpainter\nErase part of a face, and see a new one appear.", elem_id="title")
        picture = gr.State(first_picture)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                model = gr.Dropdown(list(MODELS), value=first, label="Model", visible=len(MODELS) > 1)
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
                note = gr.Markdown(elem_id="note")
                preset = gr.Radio(
                    list(PRESETS), value="Centre", label="Hole", info="Start from one, then draw or erase."
                )
                with gr.Row():
                    hole_seed = gr.Number(0, label="Seed of the hole", precision=0, minimum=0, visible=False)
                    side = gr.Radio(masks.SIDES, value="left", label="Missing half", visible=False)
                drawing = gr.ImageEditor(
                    first_editor,
                    label="Draw over what should go",
                    type="numpy",
                    format="png",
                    sources=[],
                    transforms=[],
                    layers=False,
                    brush=gr.Brush(editor.BRUSH_SIZE, colors=[editor.HOLE_COLOUR], color_mode="fixed"),
                    eraser=gr.Eraser(editor.BRUSH_SIZE),
                    canvas_size=(editor.CANVAS, editor.CANVAS),
                    buttons=[],
                    elem_id="editor",
                )
                with gr.Row():
                    invert = gr.Button("Invert the hole", size="sm")
                    upload_mask = gr.UploadButton("Upload a mask", file_types=["image"], size="sm")
                with gr.Row():
                    start = gr.Button("Run", variant="primary", elem_id="run")
                    stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="stop")
                with gr.Accordion("Settings", open=False):
                    steps = gr.Slider(1, 1500, STEPS, step=1, label="Steps", info="The paper takes 1500.")
                    prior_weight = gr.Slider(
                        0,
                        0.03,
                        PRIOR_WEIGHT,
                        step=0.001,
                        label="Prior weight λ",
                        info="The paper's is 0.003; 0 is off.",
                    )
                    learning_rate = gr.Slider(0.005, 0.2, LEARNING_RATE, step=0.005, label="Step size of the optimiser")
                    starts = gr.Slider(
                        1, 8, 1, step=1, label="Starts", info="Searches from several codes, keeps the best."
                    )
                    seed = gr.Number(0, label="Seed of the search", precision=0, minimum=0)
            with gr.Column(scale=6, min_width=320):
                view = gr.HTML(views.WELCOME, elem_id="view")
                before_after = gr.ImageSlider(
                    label="Before and after", format="png", interactive=False, visible=False, elem_id="before-after"
                )

        shown = [picture, drawing, note]
        gallery.select(take_example, [model, drawing], shown, api_visibility="private")
        upload.upload(take_picture, [model, upload, drawing], shown, api_visibility="private")
        model.input(take_model, [model, drawing], [gallery, *shown], api_visibility="private")
        upload_mask.upload(take_mask, [upload_mask, picture], drawing, api_visibility="private")
        invert.click(invert_hole, [drawing, picture], drawing, api_visibility="private")
        preset.input(show_preset_options, preset, [hole_seed, side], api_visibility="private", show_progress="hidden")
        for option in (preset, hole_seed, side):
            option.input(take_preset, [preset, hole_seed, side, picture], drawing, api_visibility="private")

        inputs = [model, picture, drawing, steps, prior_weight, learning_rate, starts, seed]
        running = start.click(show_running, None, [start, stop], queue=False, api_visibility="private").then(
            run,
            inputs,
            [view, before_after],
            api_visibility="private",
            concurrency_limit=1,
            concurrency_id="search",
            show_progress="minimal",
        )
        running.then(show_ready, None, [start, stop], queue=False, api_visibility="private")
        stop.click(stop_run, None, None, queue=False, api_visibility="private")
        page.unload(stop_run)
    return page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=8)


def main() -> None:
    if not MODELS:
        sys.exit(f"{HERE / 'hub_models'} holds no model: expected a folder with a {CONFIG_NAME}.")
    try:
        page = build()
    except ValueError as error:
        sys.exit(str(error))
    local = "SPACE_ID" not in os.environ and (sys.platform != "linux" or bool(os.environ.get("DISPLAY")))
    page.launch(inbrowser=local, share=False, theme=THEME, css_paths=HERE / "page" / "style.css", footer_links=["api"])


if __name__ == "__main__":
    main()
