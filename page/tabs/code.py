"""The tab with code that does what the page is set to do."""

from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from . import editor, snippets
from .photo import Photo, square_at
from .settings import PRESETS, Settings


def add_tab(scene: list[Component], preset: list[Component], fields: dict[str, Component]) -> None:
    """Adds the tab to the page that is being built.

    Args:
        scene: the components that hold the model's name, photo, zoom, across, down, picture and strokes.
        preset: those of the preset hole, its seed and side.
        fields: those of the settings, by name.
    """
    with gr.Tab("Use in code") as tab:
        gr.Markdown(snippets.EXPLANATION)
        python = gr.Code(language="python", label="Python", interactive=False)
        command = gr.Code(language="shell", label="Command line", interactive=False)
        client = gr.Code(language="python", label="This page's API, with gradio_client", interactive=False)
    tab.select(
        show_code,
        [*scene, *preset],
        [python, command, client],
        inputs_kwargs=fields,
        api_visibility="private",
        show_progress="hidden",
        queue=False,
    )


def show_code(
    name: str,
    photo: Photo,
    zoom: float,
    across: float,
    down: float,
    picture: np.ndarray,
    strokes: str,
    preset: str | None,
    hole_seed: int | None,
    side: str,
    request: gr.Request,
    **fields: Any,
):
    """Snippets that do what the page is set to do: (python, command, client)."""
    kind, size = PRESETS.get(preset), len(picture)
    if kind and (editor.preset_hole(kind, size, hole_seed, side) != editor.hole_of(strokes, size)).any():
        kind = None  # it was drawn over
    settings = Settings.from_fields(**fields)
    exact = (photo.width, photo.height) == (size, size)
    square = None if exact else square_at(photo.width, photo.height, (zoom, across, down))
    choices = snippets.Choices(name, kind, int(hole_seed or 0), side, settings, square)
    return snippets.python(choices, size), snippets.command(choices), snippets.client(choices, str(request.base_url))
