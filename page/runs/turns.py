"""Who is let in, and whose turn it is: one search at a time, whoever asks; nobody crowds out the others."""

import itertools
import math
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

from ..memory import give_back
from .line import Line
from .visit import StopSwitch, Visit

PER_SESSION, PER_ADDRESS, IN_ALL = 4, 32, 64  # requests that may wait or run at once
SHORT = 300  # steps times rows of a search that need not give way to others: about three seconds of one core


class Turns:
    """Requests for searches: who is let in, who searches, and who is shown a first proposal."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._changed = threading.Condition()
        self._visits: list[Visit] = []  # all that are inside `visit`
        self.searches, self.proposals = Line(self._changed, clock), Line(self._changed, clock)
        self._arrivals = itertools.count(1)
        self._folder = tempfile.TemporaryDirectory(prefix="switches-", dir=os.environ.get("GRADIO_TEMP_DIR"))

    @contextmanager
    def visit(self, request: gr.Request | None, number: int | None = None) -> Iterator[Visit]:
        """Lets a request in; leaving the block gives its turn to the next one.

        Raises:
            ValueError: when too many of the same session or address, or too many in all, are inside.
        """
        session, address = (request.session_hash, address_of(request)) if request else (None, "")
        visit = Visit(session, address, number, StopSwitch(self._switch()), next(self._arrivals))
        try:
            with self._changed:
                self._supersede(visit)
                self._check_room(visit)
                self._visits.append(visit)
            yield visit
        finally:
            visit.switch.set()
            with self._changed:
                if visit in self._visits:  # else it was not let in
                    self._visits.remove(visit)
                self.searches.leave(visit)
            give_back()

    def wait(self, visit: Visit, work: float) -> Iterator[int]:
        """As `Line.wait`, for a search whose steps times rows are `work`."""
        visit.long = work > SHORT
        return self.searches.wait(visit)

    def stop(self, session: str | None, below: float = math.inf, *, superseded: bool = False) -> None:
        """Ends a session's searches with a number `below` the given one, and those without, at their next step.

        What they found so far is their result, unless they are `superseded`.
        """
        with self._changed:
            for visit in self._visits:
                if visit.session == session and (visit.number or 0) < below:
                    self._end(visit, superseded)
            self._changed.notify_all()

    def _switch(self) -> Path:
        return Path(self._folder.name, uuid.uuid4().hex)

    def _supersede(self, visit: Visit) -> None:
        """The newest numbered request of a session ends the older ones, or itself if a newer one came first."""
        if visit.number is None:
            return
        numbered = [v for v in self._visits if v.session == visit.session and v.number is not None]
        for other in numbered:
            self._end(other if other.number < visit.number else visit, superseded=True)
        self._changed.notify_all()

    def _end(self, visit: Visit, superseded: bool) -> None:
        if superseded:
            visit.superseded.set()
        visit.switch.set()

    def _check_room(self, visit: Visit) -> None:
        active = [v for v in self._visits if not v.superseded.is_set()]
        if sum(v.session == visit.session for v in active) >= PER_SESSION:
            raise ValueError(f"You have {PER_SESSION} fills waiting already: wait for one of them.")
        if sum(v.address == visit.address for v in active) >= PER_ADDRESS or len(active) >= IN_ALL:
            raise ValueError("Too many fills are waiting here: try again in a minute.")


TURNS = Turns()


def address_of(request: gr.Request) -> str:
    """A client's address; behind the proxy of a Space, the one that the proxy saw."""
    forwarded = request.headers.get("x-forwarded-for", "") if "SPACE_ID" in os.environ else ""
    return forwarded.split(",")[-1].strip() or (request.client.host if request.client else "")


def stop_run(number: str, request: gr.Request) -> None:
    """Stop was pressed: what was found so far is the result."""
    TURNS.stop(request.session_hash, _number(number))


def supersede(number: str, request: gr.Request) -> None:
    """The scene has changed, and the new one is not to be filled yet: whatever runs is for nothing."""
    TURNS.stop(request.session_hash, _number(number), superseded=True)


def leave(request: gr.Request) -> None:
    """The page was closed."""
    TURNS.stop(request.session_hash, superseded=True)


def _number(text: str) -> int:
    """A request's number; 0, which is below all, for what is none."""
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 16 else 0
