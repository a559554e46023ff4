"""Whose turn it is: one search at a time, whoever asks, and nobody's searches crowd out another's."""

import itertools
import math
import os
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

PER_SESSION, PER_ADDRESS, IN_ALL = 4, 32, 64  # requests that may wait or run at once
PATIENCE = 0.5  # seconds between two looks at the line; a client that has left is noticed at one


class StopSwitch:
    """Tells a search to end, even one in another process: it runs as long as a file is there."""

    def __init__(self, path: Path):
        self.path = path
        path.touch()

    def is_set(self) -> bool:
        return not self.path.exists()

    def set(self) -> None:
        self.path.unlink(missing_ok=True)


@dataclass(eq=False)
class Visit:
    """One request for a search. Of two numbered ones of a session, the one with the higher number supersedes."""

    session: str | None
    address: str
    number: int | None
    switch: StopSwitch
    arrived: int
    superseded: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Requests that wait, and the one that runs."""

    def __init__(self):
        self._changed = threading.Condition()
        self._visits: list[Visit] = []  # all that are inside `visit`
        self._waiting: list[Visit] = []
        self._running: Visit | None = None
        self._served: Counter[str | None] = Counter()  # when a session or address last had its turn
        self._arrivals, self._turns = itertools.count(1), itertools.count(1)
        self._folder = tempfile.TemporaryDirectory(prefix="inpainter-switches-")

    @contextmanager
    def visit(self, request: gr.Request | None, number: int | None = None) -> Iterator[Visit]:
        """Lets a request in; leaving the block gives its turn to the next one.

        Raises:
            ValueError: when too many of the same session or address, or too many in all, are inside.
        """
        session, address = (request.session_hash, address_of(request)) if request else (None, "")
        with self._changed:
            visit = Visit(session, address, number, StopSwitch(self._switch()), next(self._arrivals))
            self._supersede(visit)
            self._check_room(visit)
            self._visits.append(visit)
        try:
            yield visit
        finally:
            visit.switch.set()
            with self._changed:
                self._visits.remove(visit)
                if visit in self._waiting:
                    self._waiting.remove(visit)
                if self._running is visit:
                    self._running = None
                self._changed.notify_all()

    def wait(self, visit: Visit) -> Iterator[int]:
        """Yields how many are ahead, every now and then, until it is a visit's turn or it is superseded."""
        with self._changed:
            self._waiting.append(visit)
        while True:
            with self._changed:
                if visit.superseded.is_set():
                    return
                if self._running is None and self._next() is visit:
                    self._waiting.remove(visit)
                    self._running = visit
                    self._note_turn(visit)
                    return
                ahead = len(self._waiting) - 1 + (self._running is not None)
                self._changed.wait(PATIENCE)
            yield ahead

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
        if sum(v.address == visit.address for v in active) >= PER_ADDRESS or len(self._visits) >= IN_ALL:
            raise ValueError("Too many fills are waiting here: try again in a minute.")

    def _next(self) -> Visit:
        """The request of whoever has waited longest for a turn: address first, then session, then arrival."""
        return min(self._waiting, key=lambda v: (self._served[v.address], self._served[v.session], v.arrived))

    def _note_turn(self, visit: Visit) -> None:
        if len(self._served) > 10_000:
            self._served.clear()
        self._served[visit.address] = self._served[visit.session] = next(self._turns)


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
