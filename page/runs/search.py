"""A search as a stream of previews that ends with its result."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray

from inpainter import Progress, Result, Settings
from inpainter.images import to_uint8

from ..gpu import on_gpu
from ..models import model_named
from .turns import StopSwitch

PREVIEWS = 40  # a search, however many steps it takes
PROPOSING = threading.Lock()  # proposals do not wait for a turn, but for one another


@dataclass(frozen=True)
class Preview:
    """Where a search stands: one row a picture."""

    step: int
    images: NDArray[np.uint8]  # (N, H, W, 3), filled
    context_loss: NDArray[np.float32]  # (N,)


@on_gpu
def search(
    name: str,
    pictures: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    settings: Settings,
    stop: StopSwitch,
    previews: int = PREVIEWS,
) -> Iterator[Preview | Result]:
    """Fills the hole in pictures (N, H, W, 3), in a number of steps that the settings give.

    Yields and raises as `stream`.
    """
    model = model_named(name)
    yield from stream(lambda callback: model(pictures, hole, settings, callback), settings.steps, stop, previews)


def propose(name: str, picture: NDArray[np.uint8], hole: NDArray[np.bool_], settings: Settings) -> Preview:
    """Where a search of one picture (H, W, 3) begins: one pass through the encoder or the generator."""
    with PROPOSING:
        start = model_named(name)(picture[None], hole, replace(settings, steps=0, refine=0))
    return Preview(0, start.images, start.context_loss)


@on_gpu
def generate(name: str, codes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The images G(z) of codes (N, latent_size): uint8 (N, H, W, 3)."""
    model = model_named(name)
    with torch.no_grad():
        return to_uint8(model.model.generate(torch.from_numpy(codes).to(model.device)))


def stream(
    run: Callable[[Callable[[int, Progress], bool]], Result],
    steps: int,
    stop: StopSwitch | threading.Event,
    previews: int = PREVIEWS,
) -> Iterator[Preview | Result]:
    """Turns a search that calls back into one that can be iterated over.

    Args:
        run: runs the search with the callback it is given.
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
            items.put(Preview(step, progress.compose(), progress.state.context_loss.cpu().numpy()))
        return stopped

    def work() -> None:
        try:
            items.put(run(report))
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
