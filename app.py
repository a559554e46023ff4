"""The page: erase part of a picture and watch it fill in. Layout and events only."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from page import storage

FILES = storage.own_files()  # before Gradio is imported

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from page import api, server, sessions  # noqa: E402
from page import settings as st  # noqa: E402
from page.editor import stage  # noqa: E402
from page.gpu import ZERO_GPU  # noqa: E402
from page.mailboxes import Mailboxes  # noqa: E402
from page.models import FOLDER, MODELS, PORTRAIT, model_named  # noqa: E402
from page.photo.deliver import deliver  # noqa: E402
from page.photo.framing import take_photo  # noqa: E402
from page.runs import fill  # noqa: E402
from page.tabs import code, details, explore, methods, parts  # noqa: E402

QUEUE_SIZE = 64  # concurrent requests; further ones are rejected

TITLE = """# Erase part of a picture and see it filled
**1** pick · **2** erase · **3** see. The hole is filled by searching a generator's latent space
([Yeh et al., CVPR 2017](https://arxiv.org/abs/1607.07539)).
"""
LINKS = """[Paper](https://arxiv.org/abs/1607.07539) · [First version](https://arxiv.org/abs/1607.07539v1) ·
{cards} · Code: Apache 2.0 · The models were trained on data sets for non-commercial research. Fillings are invented:
plausible at best, never what was really there. Each model knows one subject, framed as in its examples. Your pictures
are kept on this server for at most a day."""

THEME = gr.themes.Default(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


def build() -> gr.Blocks:
    """Builds the page."""
    answer_shown, outcome_shown = fill.first_fill(stage.opening())
    if ZERO_GPU:  # load here: a model loaded in a GPU process would be lost with it
        for name in MODELS:
            model_named(name)

    # Files are kept for most of a day: a visitor may come back to a picture that was left open.
    with gr.Blocks(title="Inpainter", analytics_enabled=False, fill_width=True, delete_cache=(600, 22 * 3600)) as page:
        gr.Markdown(TITLE, elem_id="title")
        with gr.Row(elem_id="top"):
            with gr.Column(scale=6, min_width=320):
                stage.add_stage()
            with gr.Column(scale=5, min_width=320):
                stage.add_pick()
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            fields = st.add_fields()
        outcome = gr.State(outcome_shown)
        ask, answer = stage.add_channel("ask"), stage.add_channel("answer", fill.as_text(answer_shown), sends=False)
        stop, halt = stage.add_channel("stop"), stage.add_channel("halt")
        photo, brought = stage.add_channel("photo"), stage.add_channel("brought", sends=False)
        wanted, file = stage.add_channel("deliver"), stage.add_channel("file", sends=False)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Details"):
                about = gr.HTML(details.show(outcome_shown), elem_id="details")
            parts.add_tab(ask)
            methods.add_tab(ask)
            explore.add_tab(ask)
            code.add_tab(ask)
        gr.Markdown(LINKS.format(cards=cards()), elem_id="links")

        private = {"api_visibility": "private", "show_progress": "hidden"}
        quick = private | {"queue": False}
        # Every change of the scene goes out through `ask` and comes back through `answer`.
        ask.change(fill.fill, ask, [answer, about, outcome], trigger_mode="multiple", concurrency_limit=None, **private)
        stop.change(fill.stop_run, stop, None, **quick)
        halt.change(fill.supersede, halt, None, trigger_mode="multiple", **quick)
        photo.change(take_photo, [photo, outcome], brought, trigger_mode="multiple", concurrency_limit=4, **private)
        wanted.change(deliver, [wanted, outcome], file, trigger_mode="multiple", concurrency_limit=2, **private)
        gr.on(
            [field.change for field in fields.values()],
            None,
            list(fields.values()),
            js="(...values) => { window.inpainter.settings(...values); }",
        )
        page.load(None, None, list(fields.values()), js="() => window.inpainter.fieldValues()")
        page.unload(fill.leave)
        api.add_endpoints()
    page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=8, api_open=False)
    Mailboxes(page._queue)
    return page


def cards() -> str:
    """Links to the models' cards in a Space; elsewhere just their names."""
    space = os.environ.get("SPACE_ID", "")
    owner = space.partition("/")[0]
    names = [f"[{name}](https://huggingface.co/{owner}/{name})" if owner else f"`{name}`" for name in MODELS]
    return f"Models: {', '.join(names)}" + (
        f" · [Code](https://huggingface.co/spaces/{space}/tree/main)" if space else ""
    )


def main() -> None:
    if not MODELS:
        sys.exit(f"{FOLDER} contains no model: expected at least one folder with a config.json.")
    try:
        page = build()
    except ValueError as error:
        sys.exit(str(error))
    storage.keep_swept(FILES)
    try:
        page.launch(**launch_options())
    except ValueError:
        if not page.is_running:
            raise
        page.block_thread()  # the server is up, only too slow for Gradio's own start-up check


def launch_options() -> dict[str, Any]:
    """Returns the arguments of `launch`."""
    local = "SPACE_ID" not in os.environ and (sys.platform != "linux" or bool(os.environ.get("DISPLAY")))
    return {
        "inbrowser": local,
        "share": False,
        "run_history": False,
        "theme": THEME,
        "css_paths": Path(__file__).parent / "page" / "editor" / "style.css",
        "head": stage.head(),
        "footer_links": ["api"],
        "max_file_size": "64mb",
        "max_threads": 96,
        "state_session_capacity": sessions.MOST,
        "allowed_paths": [str(FOLDER), str(PORTRAIT)],
        "app_kwargs": {
            "middleware": [Middleware(server.Gate)],
            "exception_handlers": {KeyError: server.unknown_function},
        },
        "mcp_server": True,
    }


if __name__ == "__main__":
    options = "Environment variables such as GRADIO_SERVER_NAME and GRADIO_SERVER_PORT set its address."
    parser = argparse.ArgumentParser(description="Opens the page in a browser.", epilog=options)
    parser.parse_args()
    main()
