"""The page: erase part of a picture and watch it being filled. Layout and events only."""

import os
import sys
from pathlib import Path

import gradio as gr

from page import api, code_tab, compare, editor, events, explore, framing, live, views
from page import settings as st
from page.gpu import ZERO_GPU
from page.models import FOLDER, MODELS, examples_of, model_named, samples_of
from page.photo import MAX_ZOOM, crop
from page.runs import SEARCH

QUEUE_SIZE = 32  # visitors who may wait; more are asked to come back later

INTRODUCTION = """# Inpainter
Erase part of a picture, and watch something new appear there: semantic inpainting by searching a generator's latent
space (Yeh et al., CVPR 2017)."""

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
    photo_shown = framing.first_photo(first)
    picture_shown = crop(photo_shown, size)
    hole_shown = editor.preset_hole("center", size, 0, "left")
    drawing_shown, strokes_shown = editor.show(picture_shown, hole_shown)

    if ZERO_GPU:  # a model loaded by a lent process would be lost with it
        for name in MODELS:
            model_named(name)
    else:  # The first search of a process is slow to start: let it be this one and not a visitor's.
        model_named(first)(picture_shown, hole_shown, mode="fast", steps=1)

    # Files are kept for a day: a visitor may come back to a picture that was left open.
    with gr.Blocks(title="Inpainter", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        photo, picture = gr.State(photo_shown), gr.State(picture_shown)
        outcome, chosen = gr.State(None), gr.State(0)
        wanted, busy = gr.State(), gr.State(False)  # what is to be filled live, and whether Run goes on
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        with gr.Row(visible=len(MODELS) > 1, elem_id="models"):
            model = gr.Dropdown(list(MODELS), value=first, label="Model", min_width=200)
            with gr.Accordion("What this model makes", open=False):
                samples_shown = gr.Image(
                    samples_of(first), label="Samples of the model", buttons=["fullscreen"], interactive=False
                )
        with gr.Tab("Inpaint"), gr.Row():
            with gr.Column(scale=5, min_width=320):
                gallery = gr.Gallery(
                    examples_of(first),
                    label="Pictures the model has never seen",
                    visible=bool(examples_of(first)),
                    columns=8,
                    **st.THUMBNAILS,
                    elem_id="examples",
                )
                upload = gr.UploadButton("Use your own picture", file_types=["image"], size="sm")
                note = gr.Markdown(visible=False, elem_id="note")
                with gr.Group(visible=False, elem_id="crop") as crop_group, gr.Row():
                    overview = gr.HTML()
                    with gr.Column(min_width=220):
                        zoom = gr.Slider(1, MAX_ZOOM, 1, step=0.01, label="Zoom")
                        across = gr.Slider(0, 100, 50, step=0.1, label="Across, %")
                        down = gr.Slider(0, 100, 50, step=0.1, label="Down, %")
                        find = gr.Button("Find the face", size="sm", visible=False)
                preset = gr.Radio(
                    list(st.PRESETS),
                    value="Centre",
                    label="Hole",
                    info="Start from one of these, then draw or erase.",
                    elem_id="preset",
                )
                hole_seed = gr.Number(0, label="Seed of the hole", visible=False, **st.SEED)
                side = gr.Radio(st.SIDES, value="left", label="Missing half", visible=False)
                drawing = gr.ImageEditor(
                    drawing_shown,
                    label="Draw the hole",
                    interactive=True,  # though no event takes it
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
                strokes = live.add_strokes(strokes_shown)
                with gr.Row():
                    clear = gr.Button("Clear hole", size="sm", min_width=90)
                    invert = gr.Button("Invert hole", size="sm", min_width=90)
                    upload_mask = gr.UploadButton("Upload mask", file_types=["image"], size="sm", min_width=90)
            with gr.Column(scale=6, min_width=320):
                with gr.Row():
                    start = gr.Button("Run", variant="primary", elem_id="run", min_width=100)
                    stop = gr.Button("Stop", interactive=False, elem_id="stop", min_width=100)
                    live_switch = gr.Checkbox(
                        True, label="Live", info="Fill while you draw.", elem_id="live", container=False, min_width=120
                    )
                settings = st.add_fields()
                chooser = gr.Gallery(
                    label="Candidates: choose one",
                    visible=False,
                    columns=6,
                    **st.THUMBNAILS,
                    elem_id="candidates",
                )
                view = gr.HTML(views.WELCOME, elem_id="view")
                before_after = gr.ImageSlider(
                    label="Before and after", format="png", interactive=False, visible=False, elem_id="before-after"
                )
                full_photo = gr.Image(
                    label="Your photo, filled",
                    format="png",
                    interactive=False,
                    visible=False,
                    buttons=["fullscreen"],
                    elem_id="full-photo",
                )
                full_download = gr.DownloadButton(visible=False, variant="primary", elem_id="full-download")
        private = {"api_visibility": "private", "show_progress": "hidden"}
        quick = private | {"queue": False}

        # The editor is no input of any event, and shows no progress: see strokes.js, which tells what is drawn.
        edit = private | {"show_progress_on": preset}

        place, hole = [zoom, across, down], [drawing, strokes]
        scene = [model, photo, *place, picture, strokes]
        shown = [photo, picture, *hole, note, crop_group, overview, find, *place]
        gallery.select(framing.take_example, [model, strokes], shown, **edit)
        slow = edit | {"show_progress": "minimal"}  # a photo takes a second or two
        upload.upload(framing.take_upload, [model, upload, strokes], shown, **slow)
        find.click(framing.find_face, [model, photo, strokes], shown, **edit)
        model_changed = model.input(framing.take_model, [model, strokes], [gallery, samples_shown, *shown], **edit)
        for slider in place:
            slider.release(framing.move_crop, [photo, *place, picture, strokes], [picture, *hole, overview], **edit)

        upload_mask.upload(events.take_mask, [upload_mask, picture], [*hole, preset], **edit)
        invert.click(events.invert_hole, [strokes, picture], [*hole, preset], **edit)
        clear.click(events.clear_hole, picture, [*hole, preset, hole_seed, side], **edit)
        preset.input(events.show_preset_options, preset, [hole_seed, side], **quick)
        for option in (preset, hole_seed, side):
            option.input(events.take_preset, [preset, hole_seed, side, picture], hole, **edit)

        full = [full_photo, full_download]
        results = [view, chooser, before_after, *full, outcome, chosen]
        changes = [strokes.change, picture.change, live_switch.input]
        named = {"name": model, "photo": photo, "zoom": zoom, "across": across, "down": down} | settings
        told = [strokes, live_switch, busy, picture]
        for change in changes:  # registered before the run: a page handles one after the other
            change(live.supersede, told, [wanted, view], inputs_kwargs=named, **quick)
        gr.on(
            changes,
            live.run,
            [strokes, wanted, picture],
            results,
            inputs_kwargs=named,
            trigger_mode="always_last",
            **private,
            **SEARCH,
        )

        start.click(live.give_way, None, [wanted, busy], **quick)
        running = start.click(
            events.run,
            scene,
            [*results, start, stop],
            inputs_kwargs=settings,
            api_visibility="private",
            show_progress_on=view,
            **SEARCH,
        )
        running.then(lambda: False, None, busy, **quick)
        running.success(framing.paste, [outcome, chosen], full, **private)
        running.failure(events.show_ready, None, [start, stop], **quick)
        stop.click(events.stop_run, None, None, **quick)
        page.unload(events.stop_run)
        page.unload(live.stop)
        picked = chooser.select(events.pick, outcome, [view, before_after, chosen], **private)
        picked.then(framing.paste, [outcome, chosen], full, **private)

        compare.add_tab(model, picture, strokes)
        explore.add_tab(model, model_changed, outcome, chosen)
        code_tab.add_tab(scene, [preset, hole_seed, side], settings)
        api.add_endpoints()
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
    page.launch(
        inbrowser=local,
        share=False,
        theme=THEME,
        css_paths=style,
        footer_links=["api"],
        max_file_size="64mb",
        allowed_paths=[str(FOLDER)],
    )


if __name__ == "__main__":
    main()
