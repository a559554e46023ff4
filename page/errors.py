"""How a visitor, or a program, learns what was wrong: in one sentence, and never by a traceback."""

import html
from contextlib import contextmanager

import gradio as gr


@contextmanager
def errors_as_messages():
    """Turns what the library refuses into a toast, or an answer; the page stays as it was."""
    try:
        yield
    except (ValueError, TypeError) as error:
        # A toast renders HTML, and the sentence may quote the name of an uploaded file.
        raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error
