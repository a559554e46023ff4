"""The page: erase part of a picture and watch it being filled. Layout and events only."""

import os
import sys
from pathlib import Path

import gradio as gr

from inpainter import masks
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT
from page import api, editor, events, snippets, views
from page.models import FOLDER, MODELS, examples_of, first_photo, model_named
from page.runs import MAX_STARTS, MAX_STEPS, SEARCH, STEPS

QUEUE_SIZE = 32  # visitors who may wait; more are asked to come back later

INTRODUCTION = """# Inpainter
Erase part of a face, and watch a new one appear: semantic inpainting by searching a generator's latent space
(Yeh et al., CVPR 2017)."""

THEME = gr.themes.Default(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


def build() -> gr.Blocks:
    """The page itself."""
    first = next(iter(MODELS))
    size = model_named(first).size
    photo_shown = first_photo(first)
    picture_shown = editor.crop(photo_shown, size)

    # The first search of a process is slow to start: let it be this one and not a visitor's.
    model_named(first)(picture_shown, masks.center(size), steps=1)

    # Files are kept for a day: a visitor may come back to a picture that was left open.
    with gr.Blocks(title="Inpainter", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        photo, picture = gr.State(photo_shown), gr.State(picture_shown)
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        model = gr.Dropdown(list(MODELS), value=first, label="Model", visible=len(MODELS) > 1)
        with gr.Tab("Inpaint"), gr.Row():
            with gr.Column(scale=5, min_width=320):
                gallery = gr.Gallery(
                    examples_of(first),
                    label="Pictures the model has never seen",
                    visible=bool(examples_of(first)),
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
                with gr.Group(visible=False, elem_id="crop") as crop, gr.Row():
                    zoom = gr.Slider(1, 6, 1, step=0.1, label="Zoom", min_width=140)
                    across = gr.Slider(0, 100, 50, step=1, label="Across, %", min_width=140)
                    down = gr.Slider(0, 100, 50, step=1, label="Down, %", min_width=140)
                preset = gr.Radio(
                    list(events.PRESETS),
                    value="Centre",
                    label="Hole",
                    info="Start from one of these, then draw or erase.",
                    elem_id="preset",
                )
                hole_seed = gr.Number(0, label="Seed of the hole", precision=0, minimum=0, visible=False)
                side = gr.Radio(masks.SIDES, value="left", label="Missing half", visible=False)
                drawing = gr.ImageEditor(
                    editor.show(picture_shown, masks.center(size)),
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
                    steps = gr.Slider(
                        1,
                        MAX_STEPS,
                        STEPS,
                        step=1,
                        label="Steps",
                        info=f"{STEPS} take about 10 s on two cores; the paper takes 1500.",
                    )
                    prior_weight = gr.Slider(
                        0,
                        0.03,
                        PRIOR_WEIGHT,
                        step=0.001,
                        label="Prior weight λ",
                        info="The paper takes 0.003; 0 is off.",
                    )
                    learning_rate = gr.Slider(0.005, 0.2, LEARNING_RATE, step=0.005, label="Step size of the optimiser")
                    weighting = gr.Radio(
                        list(events.WEIGHTS), value=next(iter(events.WEIGHTS)), label="Known pixels that count"
                    )
                    norm = gr.Radio(list(events.NORMS), value=next(iter(events.NORMS)), label="Context loss")
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
        gallery.select(events.take_example, [model, drawing], shown, **private)
        upload.upload(events.take_upload, [model, upload, drawing], [*shown, *place], **private)
        model.input(events.take_model, [model, drawing], [gallery, *shown], **private)
        for slider in place:
            slider.release(events.move_crop, [photo, *place, picture, drawing], [picture, drawing], **private)
        upload_mask.upload(events.take_mask, [upload_mask, picture], drawing, **private)
        invert.click(events.invert_hole, [drawing, picture], drawing, **private)
        preset.input(events.show_preset_options, preset, [hole_seed, side], **quick)
        for option in (preset, hole_seed, side):
            option.input(events.take_preset, [preset, hole_seed, side, picture], drawing, **private)

        settings = [steps, prior_weight, learning_rate, weighting, norm, starts, seed]
        running = start.click(
            events.run,
            [model, picture, drawing, *settings],
            [view, before_after, start, stop],
            api_visibility="private",
            show_progress_on=view,
            **SEARCH,
        )
        running.failure(events.show_ready, None, [start, stop], **quick)
        stop.click(events.stop_run, None, None, **quick)
        page.unload(events.stop_run)
        code.select(
            events.show_code,
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
    page.launch(inbrowser=local, share=False, theme=THEME, css_paths=style, footer_links=["api"], max_file_size="64mb")


if __name__ == "__main__":
    main()
