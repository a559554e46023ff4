"""Admission and turns: one search runs at a time, and no visitor can crowd out the others.

A request is a `Visit`. `Turns.visit` admits it, or refuses it if there are too many; `Turns.wait` waits until it is
first in the `Line`.
"""

import itertools
import math
import os
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

from ..memory import give_back

PER_SESSION, PER_ADDRESS, IN_ALL = 4, 32, 64  # requests that may wait or run at once
SHORT = 300  # steps times rows of a search that need not give way to others: about three seconds of one core
PATIENCE = 0.5  # seconds between two checks of the line, at which a client that has left is noticed
SLICE = 3.0  # seconds that a long search may run while others wait
LONG_AT_ONCE = 3  # long searches in progress, one per address; each takes 0.1 GB or more
REMEMBERED = 10_000  # sessions and addresses whose last turn or stop is remembered


class StopSwitch:
    """Tells a search to end, also in another process: it runs as long as a file exists."""

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
    long: bool = False  # its search takes turns of `SLICE` seconds
    begun: bool = False


class Line:
    """The waiting visits and the running one. The next is of the address, then the session, that waited longest."""

    def __init__(self, changed: threading.Condition, clock: Callable[[], float]):
        self._changed = changed
        self._clock = clock
        self._waiting: list[Visit] = []
        self._running: Visit | None = None
        self._since = 0.0
        self._served: Counter[str | None] = Counter()  # number of the last turn of each session and address
        self._turns = itertools.count(1)

    def wait(self, visit: Visit) -> Iterator[int]:
        """Yields now and then how many visits are ahead, until it is the visit's turn or it is superseded."""
        with self._changed:
            self._waiting.append(visit)
        while True:
            with self._changed:
                if visit.superseded.is_set() or self._begin(visit):
                    return
                ahead = sum(not v.superseded.is_set() for v in self._waiting) - 1 + (self._running is not None)
                self._changed.wait(PATIENCE)
            yield ahead

    @contextmanager
    def turn(self, visit: Visit) -> Iterator[bool]:
        """Waits for a turn and holds it during the block; yields False if the visit was superseded meanwhile."""
        try:
            for _ in self.wait(visit):
                pass
            yield not visit.superseded.is_set()
        finally:
            self.leave(visit)

    def give_way(self, visit: Visit) -> None:
        """Lets others run if a long search has used up its slice; returns at its next turn, or when it must end."""
        with self._changed:
            used_up = visit.long and self._running is visit and self._clock() - self._since >= SLICE
            if not used_up or not self._waiting:
                return
            self._running = None
            self._waiting.append(visit)
            self._changed.notify_all()
            while not visit.switch.is_set() and not self._begin(visit):
                self._changed.wait(PATIENCE)

    def leave(self, visit: Visit) -> None:
        """Ends a visit's turn or its wait."""
        with self._changed:
            if visit in self._waiting:
                self._waiting.remove(visit)
            if self._running is visit:
                self._running = None
            self._changed.notify_all()

    def _begin(self, visit: Visit) -> bool:
        if self._running is not None or self._next() is not visit:
            return False
        self._waiting.remove(visit)
        self._running, self._since, visit.begun = visit, self._clock(), True
        if len(self._served) > REMEMBERED:
            self._served.clear()
        self._served[visit.address] = self._served[visit.session] = next(self._turns)
        return True

    def _next(self) -> Visit | None:
        """Returns the visit whose turn is next."""
        held = [visit.address for visit in self._waiting if visit.long and visit.begun]
        may_begin = len(held) < LONG_AT_ONCE
        wanted = [v for v in self._waiting if not v.superseded.is_set()]  # the others may never look again
        ready = [v for v in wanted if not v.long or v.begun or (may_begin and v.address not in held)]
        return min(ready, key=lambda v: (self._served[v.address], self._served[v.session], v.arrived), default=None)


class Turns:
    """Admits requests, and gives turns: one line for searches, one for first proposals."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._changed = threading.Condition()
        self._visits: list[Visit] = []  # all that were admitted
        self._ended: dict[str | None, tuple[float, bool]] = {}  # arguments of each session's last `stop`
        self.searches, self.proposals = Line(self._changed, clock), Line(self._changed, clock)
        self._arrivals = itertools.count(1)
        self._folder = tempfile.TemporaryDirectory(prefix="switches-", dir=os.environ.get("GRADIO_TEMP_DIR"))

    @contextmanager
    def visit(self, request: gr.Request | None, number: int | None = None) -> Iterator[Visit]:
        """Admits a request for the duration of the block.

        Raises:
            ValueError: if there are too many of the same session or address, or too many in all.
        """
        session, address = (request.session_hash, address_of(request)) if request else (None, "")
        visit = Visit(session, address, number, StopSwitch(self._switch()), next(self._arrivals))
        try:
            with self._changed:
                self._supersede(visit)
                self._end_if_stopped(visit)
                self._check_room(visit)
                self._visits.append(visit)
            yield visit
        finally:
            visit.switch.set()
            with self._changed:
                if visit in self._visits:  # else it was refused
                    self._visits.remove(visit)
                self.searches.leave(visit)
            give_back()

    def wait(self, visit: Visit, work: float) -> Iterator[int]:
        """Like `Line.wait`, for a search of `work` steps times rows."""
        visit.long = work > SHORT
        return self.searches.wait(visit)

    def stop(self, session: str | None, below: float = math.inf, *, superseded: bool = False) -> None:
        """Ends a session's searches whose number is below the given one, or that have none, at their next step.

        Their result is what they found so far, unless they are `superseded`. A numbered request that arrives only
        after its stop is ended as well.
        """
        with self._changed:
            if math.isfinite(below):
                self._remember(session, below, superseded)
            for visit in self._visits:
                if visit.session == session and (visit.number or 0) < below:
                    self._end(visit, superseded)
            self._changed.notify_all()

    def _switch(self) -> Path:
        return Path(self._folder.name, uuid.uuid4().hex)

    def _supersede(self, visit: Visit) -> None:
        """Ends a session's older numbered requests, or this one if a newer one came first."""
        if visit.number is None:
            return
        numbered = [v for v in self._visits if v.session == visit.session and v.number is not None]
        for other in numbered:
            self._end(other if other.number < visit.number else visit, superseded=True)
        self._changed.notify_all()

    def _remember(self, session: str | None, below: float, superseded: bool) -> None:
        if len(self._ended) > REMEMBERED:
            self._ended.clear()
        self._ended[session] = max((below, superseded), self._ended.get(session, (0, False)))

    def _end_if_stopped(self, visit: Visit) -> None:
        """Ends a request that was overtaken by its own stop: the two reach the server on connections of their own."""
        below, superseded = self._ended.get(visit.session, (0, False))
        if visit.number is not None and visit.number < below:
            self._end(visit, superseded)

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
    """Returns a client's address; in a Space, the one that the proxy reports."""
    forwarded = request.headers.get("x-forwarded-for", "") if "SPACE_ID" in os.environ else ""
    return forwarded.split(",")[-1].strip() or (request.client.host if request.client else "")
