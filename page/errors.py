"""Error messages for visitors and programs: one sentence, never a traceback."""

import html
import logging
from contextlib import contextmanager

import gradio as gr

log = logging.getLogger(__name__)


@contextmanager
def errors_as_messages():
    """Turns the library's errors into a toast, or an API error; the page stays as it was."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        # A toast renders HTML, and the sentence may quote the name of an uploaded file.
        raise gr.Error(html.escape(sentence(error), quote=False), print_exception=False) from error


def sentence(error: Exception) -> str:
    """Returns the message of an error raised by our code, or a sentence of ours for one raised by Python."""
    if isinstance(error, ValueError) or (type(error) is TypeError and str(error).endswith(".")):
        return str(error)
    if isinstance(error, (TypeError, KeyError, AttributeError, OverflowError)):
        return "A value has the wrong type: give numbers as numbers, names as text and pictures as files."
    log.error("%s", error, exc_info=error)
    return "Something went wrong on the server: try again."
