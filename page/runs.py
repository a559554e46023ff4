"""Running a search for a visitor: its progress as a stream, and a way to stop it."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from inpainter import Progress, Result

STEPS = 300  # about 10 s on two cores, shared with the browser; the paper's 1500 take five times as long
MAX_STEPS, MAX_STARTS = 1500, 8
PREVIEWS = 40  # a run, however many steps it takes
# Searches share the device, so one runs at a time, whether a visitor or a program asked for it.
SEARCH = {"concurrency_limit": 1, "concurrency_id": "search"}


@dataclass(frozen=True)
class Preview:
    """Where a run stands: one row a picture, the best of its starts."""

    step: int
    images: NDArray[np.uint8]  # (N, H, W, 3), filled
    context_loss: NDArray[np.float32]  # (N,)


class StopSwitches:
    """The searches now running for each visitor, so that they can be told to stop."""

    def __init__(self):
        self._switches: defaultdict[str | None, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()

    @contextmanager
    def switch(self, visitor: str | None) -> Iterator[threading.Event]:
        """An event that `stop(visitor)` sets; set, too, when the block is left."""
        event = threading.Event()
        with self._lock:
            self._switches[visitor].add(event)
        try:
            yield event
        finally:
            event.set()
            with self._lock:
                self._switches[visitor].discard(event)
                if not self._switches[visitor]:
                    del self._switches[visitor]

    def stop(self, visitor: str | None) -> None:
        """Ends the visitor's searches after their current step; what they found is kept."""
        with self._lock:
            for event in self._switches.get(visitor, ()):
                event.set()


SWITCHES = StopSwitches()


def stream(
    search: Callable[[Callable[[int, Progress], bool]], Result], steps: int, stop: threading.Event
) -> Iterator[Preview | Result]:
    """Turns a search that calls back into one that can be iterated over.

    Args:
        search: runs the search with the callback it is given.
        steps: how many it will take.
        stop: ends the search early once set.

    Yields:
        A `Preview` of the start, of about `PREVIEWS` steps on the way and of the last one, then the `Result`.

    Raises:
        What the search raises.
    """
    every = max(1, steps // PREVIEWS)
    items: SimpleQueue[Preview | Result | Exception] = SimpleQueue()

    def report(step: int, progress: Progress) -> bool:
        stopped = stop.is_set()
        if stopped or step % every == 0 or step == steps:
            items.put(preview(progress))
        return stopped

    def work() -> None:
        try:
            items.put(search(report))
        except Exception as error:  # handed on to whoever iterates
            items.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(item := items.get(), Result):
            if isinstance(item, Exception):
                raise item
            yield item
        yield item
    finally:
        stop.set()
        thread.join()


def preview(progress: Progress) -> Preview:
    """The best start of each picture, as it stands."""
    loss = progress.state.loss.cpu().numpy()
    best = [
        rows[loss[rows].argmin()]
        for i in np.unique(progress.pictures)
        for rows in [np.flatnonzero(progress.pictures == i)]
    ]
    return Preview(progress.step, progress.compose()[best], progress.state.context_loss.cpu().numpy()[best])
