"""Running a search for a visitor: its progress as a stream, and a way to stop it."""

import tempfile
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inpainter import Progress, Result
from inpainter.images import to_uint8

from .gpu import on_gpu
from .models import model_named

PREVIEWS = 40  # a run, however many steps it takes
# Searches share the device, so one runs at a time, whether a visitor or a program asked for it.
SEARCH = {"concurrency_limit": 1, "concurrency_id": "search"}
# Samples take a fraction of a second: they need not wait for a search.
SAMPLE = {"concurrency_limit": 1, "concurrency_id": "sample"}


@dataclass(frozen=True)
class Preview:
    """Where a run stands: one row a picture, the best of its starts."""

    step: int
    images: NDArray[np.uint8]  # (N, H, W, 3), filled
    generated: NDArray[np.uint8]  # (N, H, W, 3), G(z)
    latents: NDArray[np.float32]  # (N, latent_size)
    context_loss: NDArray[np.float32]  # (N,)


class StopSwitch:
    """Tells a search to end, even one in another process: it runs as long as a file is there."""

    def __init__(self, path: Path):
        self.path = path
        path.touch()

    def is_set(self) -> bool:
        return not self.path.exists()

    def set(self) -> None:
        self.path.unlink(missing_ok=True)


class StopSwitches:
    """The searches now running for each visitor, so that they can be told to stop."""

    def __init__(self):
        self._switches: defaultdict[str | None, set[StopSwitch]] = defaultdict(set)
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="inpainter-")

    @contextmanager
    def switch(self, visitor: str | None) -> Iterator[StopSwitch]:
        """A switch that `stop(visitor)` sets; set, too, when the block is left."""
        switch = StopSwitch(Path(self._folder.name, uuid.uuid4().hex))
        with self._lock:
            self._switches[visitor].add(switch)
        try:
            yield switch
        finally:
            switch.set()
            with self._lock:
                self._switches[visitor].discard(switch)
                if not self._switches[visitor]:
                    del self._switches[visitor]

    def stop(self, visitor: str | None) -> None:
        """Ends the visitor's searches after their current step; what they found is kept."""
        with self._lock:
            for switch in self._switches.get(visitor, ()):
                switch.set()


SWITCHES = StopSwitches()


@on_gpu
def fill(
    name: str,
    pictures: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    settings: dict[str, Any],
    stop: StopSwitch,
    previews: int = PREVIEWS,
) -> Iterator[Preview | Result]:
    """Fills the hole in pictures (N, H, W, 3) with a model: `settings` are those of `Inpainter`, `steps` among them.

    Yields and raises as `stream`.
    """

    def search(callback: Callable[[int, Progress], bool]) -> Result:
        return model_named(name)(pictures, hole, callback=callback, **settings)

    yield from stream(search, settings["steps"], stop, previews)


def propose(name: str, pictures: NDArray[np.uint8], hole: NDArray[np.bool_], settings: dict[str, Any]) -> Preview:
    """Where `fill` of the same arguments begins: the start of its search."""
    start = model_named(name)(pictures, hole, **settings | {"steps": 0})
    return Preview(0, start.images, start.generated, start.latents, start.context_loss)


@on_gpu
def generate(name: str, codes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The images G(z) of codes (N, latent_size): uint8 (N, H, W, 3)."""
    model = model_named(name)
    with torch.no_grad():
        return to_uint8(model.model.generate(torch.from_numpy(codes).to(model.device)))


def stream(
    search: Callable[[Callable[[int, Progress], bool]], Result],
    steps: int,
    stop: StopSwitch | threading.Event,
    previews: int = PREVIEWS,
) -> Iterator[Preview | Result]:
    """Turns a search that calls back into one that can be iterated over.

    Args:
        search: runs the search with the callback it is given.
        steps: how many it will take.
        stop: ends the search early once set.
        previews: about how many to make on the way.

    Yields:
        A `Preview` of the start, of about `previews` steps on the way and of the last one, then the `Result`.

    Raises:
        What the search raises.
    """
    every = max(1, steps // previews)
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
    state = progress.state
    loss = state.loss.cpu().numpy()
    best = [
        rows[loss[rows].argmin()]
        for i in np.unique(progress.pictures)
        for rows in [np.flatnonzero(progress.pictures == i)]
    ]
    return Preview(
        progress.step,
        progress.compose()[best],
        to_uint8(state.images[best]),
        state.z.cpu().numpy()[best],
        state.context_loss.cpu().numpy()[best],
    )
