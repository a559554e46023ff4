"""The tab with code that reproduces the current scene."""

import gradio as gr
from gradio.components import Component

from ..errors import errors_as_messages
from ..runs.scene import Asked
from . import snippets
from .views import of_scene

EXPLANATION = """This code reproduces the current scene. Run the snippets in order in a copy of the project; if you use
your own photo, put it in the same folder."""


def add_tab(scene: Component) -> None:
    """Adds the tab to the page being built; `scene` holds the browser's latest description of the scene."""
    with gr.Tab("Use in code") as tab:
        gr.Markdown(EXPLANATION)
        mark = gr.HTML(elem_id="code-mark")
        python = gr.Code(language="python", label="Python", interactive=False)
        command = gr.Code(language="shell", label="Command line", interactive=False)
        client = gr.Code(language="python", label="This page's API, with gradio_client", interactive=False)
    tab.select(
        show,
        scene,
        [python, command, client, mark],
        js="() => window.inpainter.describe()",
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=None,
    )


def show(asked: str, request: gr.Request) -> tuple[str, str, str, str]:
    """Returns the three snippets: (python, command, client), and a mark that says when they are out of date."""
    with errors_as_messages():
        wanted = Asked.parse(asked)
        scene = wanted.scene()
        address, mark = str(request.base_url), of_scene(wanted.id, "")
        return snippets.python(scene), snippets.command(scene), snippets.client(scene, address), mark
