"""The tab with code that reproduces the current scene."""

import gradio as gr
from gradio.components import Component

from ..errors import errors_as_messages
from ..runs.scene import Asked
from . import snippets

EXPLANATION = """This code reproduces the current scene. Run the snippets in order in a copy of the project; if you use
your own photo, put it in the same folder."""


def add_tab(scene: Component) -> None:
    """Adds the tab to the page being built; `scene` holds the browser's latest description of the scene."""
    with gr.Tab("Use in code") as tab:
        gr.Markdown(EXPLANATION)
        python = gr.Code(language="python", label="Python", interactive=False)
        command = gr.Code(language="shell", label="Command line", interactive=False)
        client = gr.Code(language="python", label="This page's API, with gradio_client", interactive=False)
    tab.select(
        show,
        scene,
        [python, command, client],
        js="() => window.inpainter.describe()",
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=None,
    )


def show(asked: str, request: gr.Request) -> tuple[str, str, str]:
    """Returns the three snippets: (python, command, client)."""
    with errors_as_messages():
        scene = Asked.parse(asked).scene()
        return snippets.python(scene), snippets.command(scene), snippets.client(scene, str(request.base_url))
