"""Filling the hole while it is drawn: a first proposal as soon as the brush lifts, which a short search refines.

A newer drawing ends the run of an older one, and an explicit run ends them all.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from inpainter import Result

from . import editor, framing, views
from .errors import errors_as_messages
from .events import arguments_of, hide_outcome
from .gpu import ZERO_GPU
from .outcomes import Outcome
from .photo import Photo
from .runs import SWITCHES, fill, propose
from .settings import Settings

PREVIEWS = 10  # a run


def add_strokes(strokes: str) -> gr.HTML:
    """Adds what tells the page of every change in the editor, which begins with these strokes."""
    script = Path(__file__).with_name("strokes.js").read_text()
    return gr.HTML(strokes, html_template="", js_on_load=script, visible="hidden", elem_id="strokes")


def supersede(strokes: str, live: bool, busy: bool, picture: np.ndarray, request: gr.Request, **scene: Any) -> tuple:
    """What is drawn has changed: the strokes to be filled live, none while an explicit run goes on; a first proposal.

    The proposal does not wait for its turn, as a search does. `scene` as for `begin`.

    (wanted, view)
    """
    stop(request)
    if not live or busy:
        return None, gr.skip()
    with errors_as_messages():
        hole = editor.hole_of(strokes, len(picture))
        if ZERO_GPU or not hole.any():  # a lent GPU has to be waited for
            return strokes, gr.skip()
        outcome = begin(picture, hole, **scene)
        outcome.previews.append(propose(outcome.model, picture[None], hole, arguments_of(outcome.settings)))
        return strokes, views.live(outcome)


def begin(
    picture: np.ndarray,
    hole: np.ndarray,
    name: str,
    photo: Photo,
    zoom: float,
    across: float,
    down: float,
    **fields: Any,
) -> Outcome:
    """A live run of which nothing is done; `fields` are those of the settings."""
    return Outcome(name, photo, (zoom, across, down), picture, hole, Settings.from_fields(**fields).live())


def give_way(request: gr.Request) -> tuple[None, bool]:
    """Run was pressed: (wanted, busy)."""
    stop(request)
    return None, True


def stop(request: gr.Request) -> None:
    """Ends the visitor's live run, and no other."""
    SWITCHES.stop(visitor(request))


def visitor(request: gr.Request) -> str:
    """Under which name a visitor's live runs can be stopped."""
    return f"live {request.session_hash}"


def run(strokes: str, wanted: str | None, picture: np.ndarray, request: gr.Request, **scene: Any) -> Iterator[tuple]:
    """Fills what is drawn: a proposal, the picture as it is refined, the result.

    Nothing happens for strokes that are no longer wanted once their turn has come: other ones are by then,
    or an explicit run was begun, whose result stays. `scene` as for `begin`.

    (view, candidate gallery, before_after, full photo, full download, outcome, chosen)
    """
    unchanged = [gr.skip()] * 7  # to end without a word would empty the components
    if strokes != wanted:
        yield unchanged
        return
    with errors_as_messages():
        hole = editor.hole_of(strokes, len(picture))
    if not hole.any():
        yield views.WELCOME, *hide_outcome(), None, 0
        return
    with errors_as_messages(), SWITCHES.switch(visitor(request)) as switch:
        outcome = begin(picture, hole, **scene)
        begun = time.monotonic()
        for item in fill(outcome.model, picture[None], hole, arguments_of(outcome.settings), switch, PREVIEWS):
            outcome.seconds = time.monotonic() - begun
            if switch.is_set():  # something newer, or Run, has taken over
                yield unchanged
                return
            if isinstance(item, Result):
                outcome.result = item
                yield views.live(outcome), *[gr.skip()] * 4, outcome, 0
                yield *[gr.skip()] * 3, *framing.paste(outcome, 0), *[gr.skip()] * 2
            else:
                old = [gr.skip()] * 4 if outcome.previews else hide_outcome()
                outcome.previews.append(item)
                yield views.live(outcome), *old, gr.skip(), gr.skip()
