"""The page: erase part of a picture and watch it being filled. Layout and events only."""

import os
import sys
from pathlib import Path

import gradio as gr

from page import api, editor, events, explore, framing, snippets, views
from page import settings as st
from page.gpu import ZERO_GPU
from page.models import FOLDER, MODELS, examples_of, model_named, samples_of
from page.photo import MAX_ZOOM, crop
from page.runs import SAMPLE, SEARCH

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
    default = st.Settings()

    if ZERO_GPU:  # a model loaded by a lent process would be lost with it
        for name in MODELS:
            model_named(name)
    else:  # The first search of a process is slow to start: let it be this one and not a visitor's.
        model_named(first)(picture_shown, hole_shown, steps=1)

    # Files are kept for a day: a visitor may come back to a picture that was left open.
    with gr.Blocks(title="Inpainter", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        photo, picture = gr.State(photo_shown), gr.State(picture_shown)
        outcome, chosen = gr.State(None), gr.State(0)
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
                    height="auto",
                    allow_preview=False,
                    interactive=False,
                    format="png",
                    buttons=[],
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
                    editor.show(picture_shown, hole_shown),
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
                    clear = gr.Button("Clear hole", size="sm", min_width=90)
                    invert = gr.Button("Invert hole", size="sm", min_width=90)
                    upload_mask = gr.UploadButton("Upload mask", file_types=["image"], size="sm", min_width=90)
            with gr.Column(scale=6, min_width=320):
                with gr.Row():
                    start = gr.Button("Run", variant="primary", elem_id="run", min_width=100)
                    stop = gr.Button("Stop", interactive=False, elem_id="stop", min_width=100)
                candidates = gr.Slider(
                    1,
                    st.MAX_CANDIDATES,
                    default.candidates,
                    step=1,
                    label="Candidates",
                    info="Different ways to fill the hole, side by side; each takes about as long again.",
                )
                with gr.Accordion("Settings", open=False):
                    search = gr.Radio(
                        list(st.SEARCHES),
                        value=next(iter(st.SEARCHES)),
                        label="Search",
                        info="The fast one chooses its start and its step sizes; the paper's starts anywhere.",
                    )
                    steps = gr.Slider(
                        1,
                        st.MAX_STEPS,
                        default.steps,
                        step=1,
                        label="Steps",
                        info=f"{default.steps} of the fast search do what the paper's 1500 do.",
                    )
                    prior_weight = gr.Slider(
                        0,
                        0.03,
                        default.prior_weight,
                        step=0.001,
                        label="Prior weight λ",
                        info="The paper takes 0.003; 0 is off.",
                    )
                    learning_rate = gr.Slider(
                        0.005,
                        0.2,
                        default.learning_rate,
                        step=0.005,
                        label="Step size of the optimiser",
                        visible=False,
                    )
                    weighting = gr.Radio(
                        list(st.WEIGHTS), value=next(iter(st.WEIGHTS)), label="Known pixels that count"
                    )
                    norm = gr.Radio(list(st.NORMS), value=next(iter(st.NORMS)), label="Context loss")
                    blend = gr.Radio(
                        list(st.BLENDS),
                        value=next(iter(st.BLENDS)),
                        label="Blending",
                        info="Of what you see forming, and of the downloads; the comparison shows both.",
                    )
                    seed = gr.Number(
                        default.seed,
                        label="Seed of the search",
                        info="Where it starts; further candidates take the numbers after it.",
                        **st.SEED,
                    )
                chooser = gr.Gallery(
                    label="Candidates: choose one",
                    visible=False,
                    columns=6,
                    height="auto",
                    allow_preview=False,
                    interactive=False,
                    format="png",
                    buttons=[],
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
        with gr.Tab("Explore") as explore_tab:
            gr.Markdown("### What the model makes of random codes")
            with gr.Row():
                sample_seed = gr.Number(0, label="Seed of the samples", min_width=120, **st.SEED)
                draw = gr.Button("Draw others", min_width=120, elem_id="draw")
            samples = gr.Gallery(
                label=f"{explore.SAMPLES} samples",
                columns=8,
                height="auto",
                allow_preview=False,
                interactive=False,
                format="png",
                buttons=[],
                elem_id="samples",
            )
            gr.Markdown("### From one sample to another, on the line between their codes")
            with gr.Row():
                from_sample = gr.Slider(1, explore.SAMPLES, 1, step=1, label="From sample", min_width=140)
                to_sample = gr.Slider(1, explore.SAMPLES, 2, step=1, label="To sample", min_width=140)
            between = gr.HTML(elem_id="between")
            gr.Markdown("### The path of your last search")
            path = gr.HTML(explore.NO_PATH, elem_id="path")
        with gr.Tab("Use in code") as code:
            gr.Markdown(snippets.EXPLANATION)
            python = gr.Code(language="python", label="Python", interactive=False)
            command = gr.Code(language="shell", label="Command line", interactive=False)
            client = gr.Code(language="python", label="This page's API, with gradio_client", interactive=False)
        api.add_endpoints()

        private = {"api_visibility": "private", "show_progress": "hidden"}
        quick = private | {"queue": False}

        place = [zoom, across, down]
        shown = [photo, picture, drawing, note, crop_group, overview, find, *place]
        gallery.select(framing.take_example, [model, drawing], shown, **private)
        slow = private | {"show_progress": "minimal", "show_progress_on": drawing}  # a photo takes a second or two
        upload.upload(framing.take_upload, [model, upload, drawing], shown, **slow)
        find.click(framing.find_face, [model, photo, drawing], shown, **private)
        changed = model.input(framing.take_model, [model, drawing], [gallery, samples_shown, *shown], **private)
        for slider in place:
            slider.release(
                framing.move_crop, [photo, *place, picture, drawing], [picture, drawing, overview], **private
            )

        upload_mask.upload(events.take_mask, [upload_mask, picture], [drawing, preset], **private)
        invert.click(events.invert_hole, [drawing, picture], [drawing, preset], **private)
        clear.click(events.clear_hole, picture, [drawing, preset, hole_seed, side], **private)
        preset.input(events.show_preset_options, preset, [hole_seed, side], **quick)
        for option in (preset, hole_seed, side):
            option.input(events.take_preset, [preset, hole_seed, side, picture], drawing, **private)

        search.input(events.show_mode, search, [steps, learning_rate], **quick)
        settings = [search, steps, prior_weight, learning_rate, weighting, norm, candidates, seed, blend]
        full = [full_photo, full_download]
        running = start.click(
            events.run,
            [model, photo, *place, picture, drawing, *settings],
            [view, chooser, before_after, *full, outcome, chosen, start, stop],
            api_visibility="private",
            show_progress_on=view,
            **SEARCH,
        )
        running.success(framing.paste, [outcome, chosen], full, **private)
        running.failure(events.show_ready, None, [start, stop], **quick)
        stop.click(events.stop_run, None, None, **quick)
        page.unload(events.stop_run)
        picked = chooser.select(events.pick, outcome, [view, before_after, chosen], **private)
        picked.then(framing.paste, [outcome, chosen], full, **private)

        ends = [model, sample_seed, from_sample, to_sample]
        for event in (explore_tab.select, sample_seed.change, changed.then):
            event(explore.show_samples, ends, [samples, between], **private, **SAMPLE)
        draw.click(explore.next_seed, sample_seed, sample_seed, **quick)
        for end in (from_sample, to_sample):
            end.release(explore.show_between, ends, between, **private, **SAMPLE)
        explore_tab.select(explore.show_path, [outcome, chosen], path, **private)

        code.select(
            events.show_code,
            [model, photo, *place, preset, hole_seed, side, picture, drawing, *settings],
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
