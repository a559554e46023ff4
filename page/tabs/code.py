"""The tab with code that does what the page is set to do."""

import gradio as gr
from gradio.components import Component

from ..errors import errors_as_messages
from ..runs.scene import Asked
from . import snippets

EXPLANATION = """These do what the page is set to do now. Run them one after another in a copy of the project, with your
own photo beside them if you use one."""


def add_tab(scene: Component) -> None:
    """Adds the tab to the page that is being built; `scene` holds what the browser last described."""
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
    """(python, command, client)."""
    with errors_as_messages():
        scene = Asked.parse(asked).scene()
        return snippets.python(scene), snippets.command(scene), snippets.client(scene, str(request.base_url))
