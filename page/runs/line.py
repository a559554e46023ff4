"""A line in which one is served at a time, and those who ask for much let the others in between."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .visit import Visit

PATIENCE = 0.5  # seconds between two looks at the line; a client that has left is noticed at one
SLICE = 3.0  # seconds that a long search may run while others wait
LONG_AT_ONCE = 3  # long searches that may be begun and not finished, one an address: each holds 0.1 GB or more
REMEMBERED = 10_000  # sessions and addresses of which it is known when they last had a turn


class Line:
    """Those who wait, and the one who is served: of the address, then of the session, that has waited longest."""

    def __init__(self, changed: threading.Condition, clock: Callable[[], float]):
        self._changed = changed
        self._clock = clock
        self._waiting: list[Visit] = []
        self._running: Visit | None = None
        self._since = 0.0
        self._served: Counter[str | None] = Counter()  # when a session or address last had its turn
        self._turns = itertools.count(1)

    def wait(self, visit: Visit) -> Iterator[int]:
        """Yields how many are ahead, every now and then, until it is a visit's turn or it is superseded."""
        with self._changed:
            self._waiting.append(visit)
        while True:
            with self._changed:
                if visit.superseded.is_set() or self._begin(visit):
                    return
                ahead = len(self._waiting) - 1 + (self._running is not None)
                self._changed.wait(PATIENCE)
            yield ahead

    @contextmanager
    def turn(self, visit: Visit) -> Iterator[bool]:
        """A turn for the block, which is told whether to use it: not if the visit was superseded meanwhile."""
        try:
            for _ in self.wait(visit):
                pass
            yield not visit.superseded.is_set()
        finally:
            self.leave(visit)

    def give_way(self, visit: Visit) -> None:
        """Lets the others have their turns if a long search has run for a while; returns at its own, or to be ended."""
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
        """Ends a visit's turn, or its wait for one."""
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
        """The request of whoever has waited longest for a turn."""
        held = [visit.address for visit in self._waiting if visit.long and visit.begun]
        may_begin = len(held) < LONG_AT_ONCE
        ready = [v for v in self._waiting if not v.long or v.begun or (may_begin and v.address not in held)]
        return min(ready, key=lambda v: (self._served[v.address], self._served[v.session], v.arrived), default=None)
