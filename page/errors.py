"""How a visitor, or a program, learns what was wrong: in one sentence, and never by a traceback."""

import html
import logging
from contextlib import contextmanager

import gradio as gr

log = logging.getLogger(__name__)


@contextmanager
def errors_as_messages():
    """Turns what the library refuses into a toast, or an answer; the page stays as it was."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        # A toast renders HTML, and the sentence may quote the name of an uploaded file.
        raise gr.Error(html.escape(sentence(error), quote=False), print_exception=False) from error


def sentence(error: Exception) -> str:
    """What an error says if it is ours to say; what Python itself noticed gets a sentence of ours."""
    if isinstance(error, ValueError) or (type(error) is TypeError and str(error).endswith(".")):
        return str(error)
    if isinstance(error, (TypeError, KeyError, AttributeError, OverflowError)):
        return "A value is of the wrong type: give numbers as numbers, names as text and pictures as files."
    log.error("%s", error, exc_info=error)
    return "Something went wrong here: try again."
