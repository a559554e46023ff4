"""The events of a fill: a scene comes in, and answers go out with the id of that scene; a fill is stopped or replaced.

The browser shows an answer only while its scene has that id, so a late answer is never shown for another scene. A
newer request from the same visitor ends this one at its next step.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from inpainter import Result

from ..errors import sentence
from ..gpu import ZERO_GPU
from ..photo.deliver import view
from ..pixels import data_uri, jpeg_uri
from ..tabs import details, views
from .outcome import Outcome
from .scene import Asked
from .search import Preview, propose, search
from .turns import TURNS

PAUSE = 0.3  # seconds between previews: slow enough to follow, without flicker
KEPT = 128  # finished fills of examples in the cache

EXAMPLES_FILLED: OrderedDict[tuple, Outcome] = OrderedDict()


def fill(asked: str, request: gr.Request) -> Iterator[tuple]:
    """Fills a scene, yielding (answer, details, outcome) until it is done.

    An answer is JSON: {id, number, state, ...}, with a state of "waiting", "forming", "done" or "failed".
    """
    try:
        wanted = Asked.parse(asked)
    except ValueError as error:
        yield json.dumps({"state": "failed", "text": str(error)}), gr.skip(), gr.skip()
        return
    tag = {"id": wanted.id, "number": wanted.number}
    try:
        with TURNS.visit(request, wanted.number) as visit:
            for answer, outcome in _answers(wanted, visit):
                if visit.superseded.is_set():
                    break
                done = outcome is not None
                shown = (details.show(outcome), outcome) if done else (gr.skip(), gr.skip())
                yield json.dumps(tag | answer), *shown
            if visit.superseded.is_set():
                yield [gr.skip()] * 3  # ending without a yield would clear the components
    except Exception as error:  # the browser waits for an answer
        yield json.dumps(tag | {"state": "failed", "text": sentence(error)}), gr.skip(), gr.skip()


def _answers(wanted: Asked, visit) -> Iterator[tuple[dict[str, Any], Outcome | None]]:
    """Yields progress answers, then the outcome."""
    scene = wanted.scene_to_fill()
    scene = replace(scene, choice=scene.choice.resolved(scene.model, live=wanted.effort == "live"))
    outcome = EXAMPLES_FILLED.get(scene.key)
    if outcome is None:
        outcome = Outcome(wanted.id, scene)
        yield from _search(outcome, visit)
        if outcome.result is None:  # superseded while it waited
            return
    outcome = replace(outcome, id=wanted.id)
    yield done(outcome, wanted.effort), outcome


def _search(outcome: Outcome, visit) -> Iterator[tuple[dict[str, Any], None]]:
    """Yields the first proposal at once, then previews of the search once its turn comes."""
    scene, begun, told = outcome.scene, time.monotonic(), 0.0
    pictures, settings = np.stack([scene.picture] * scene.choice.candidates), scene.choice.rows()
    if not ZERO_GPU:  # a lent GPU has to be waited for
        proposal = propose(scene.model, scene.picture, scene.hole, scene.choice.settings, visit)
        if proposal is None:
            return
        yield forming(outcome, proposal), None
    for ahead in TURNS.wait(visit, settings.steps * len(pictures)):
        yield {"state": "waiting", "text": f"Waiting: {ahead} ahead" if ahead else "Waiting"}, None
    if visit.superseded.is_set():
        return
    for item in search(scene.model, pictures, scene.hole, settings, visit):
        outcome.seconds = time.monotonic() - begun
        if isinstance(item, Result):
            outcome.result = item
            remember(outcome)
            return
        outcome.curve.append((item.step, item.context_loss))
        if item.step and time.monotonic() - told > PAUSE:
            told = time.monotonic()
            yield forming(outcome, item), None


def forming(outcome: Outcome, preview: Preview) -> dict[str, Any]:
    """Builds a progress answer."""
    steps = outcome.scene.choice.settings.steps
    text = f"Searching: step {preview.step} of {steps}" if preview.step else "First proposal"
    best = int(preview.context_loss.argmin())
    return {
        "state": "forming",
        "text": text,
        "step": preview.step,
        "steps": steps,
        "candidates": [{"filled": data_uri(preview.images[best])}],
    }


def done(outcome: Outcome, effort: str) -> dict[str, Any]:
    """Builds the final answer."""
    result, steps = outcome.result, outcome.scene.choice.settings.steps
    how_long = views.in_steps(steps)
    if result.steps != steps:
        how_long = f"stopped after {result.steps} of {how_long}"
    notes = [note.partition(": ")[2] or note for note in dict.fromkeys(result.notes)][:1]
    candidates = []
    for number, row in enumerate(outcome.order):
        large = view(outcome, number)
        candidates.append(
            {
                "filled": data_uri(result.images[row]),
                "large": None if large is None else jpeg_uri(large),
                "caption": details.caption(outcome, number),
            }
        )
    return {
        "state": "done",
        "effort": effort,
        "text": " ".join([f"Filled in {outcome.seconds:.1f} s, {how_long}.", *notes]),
        "step": result.steps,
        "steps": steps,
        "candidates": candidates,
    }


def remember(outcome: Outcome) -> None:
    """Caches a finished fill of an example for other visitors, but never a visitor's own picture."""
    scene = outcome.scene
    if scene.photo is None and scene.preset and outcome.result.steps == scene.choice.settings.steps:
        EXAMPLES_FILLED[scene.key] = outcome
        while len(EXAMPLES_FILLED) > KEPT:
            EXAMPLES_FILLED.popitem(last=False)


def stop_run(number: str, request: gr.Request) -> None:
    """The Stop button: ends a visitor's search; what it found so far is its result."""
    TURNS.stop(request.session_hash, _number(number))


def supersede(number: str, request: gr.Request) -> None:
    """The scene has changed and need not be filled yet: ends the search for the old one, without a result."""
    TURNS.stop(request.session_hash, _number(number), superseded=True)


def leave(request: gr.Request) -> None:
    """The page was closed: ends the visitor's searches."""
    TURNS.stop(request.session_hash, superseded=True)


def _number(text: str) -> int:
    """Parses a request's number; anything else becomes 0, which is below all numbers."""
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 16 else 0


def first_fill(fields: dict[str, Any]) -> tuple[dict[str, Any], Outcome]:
    """Fills the opening scene; this also warms up the search, whose first run is slow."""
    asked = Asked("first", 0, "live", fields)
    with TURNS.visit(None) as visit:
        *_, (answer, outcome) = _answers(asked, visit)
    return answer | {"id": "first", "number": 0}, outcome


def as_text(answer: dict[str, Any]) -> str:
    """Serialises an answer for the browser."""
    return json.dumps(answer)
