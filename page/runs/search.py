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

PREVIEWS = 40  # per search, however many steps it takes
PROPOSING = threading.Lock()  # proposals do not queue for a turn, but run one at a time


@dataclass(frozen=True)
class Preview:
    """State of a search at one step, one row per picture."""

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
    """Fills the hole in pictures (N, H, W, 3); `settings.steps` must be set. Yields and raises as `stream`."""
    model = model_named(name)
    yield from stream(lambda callback: model(pictures, hole, settings, callback), settings.steps, stop, previews)


def propose(name: str, picture: NDArray[np.uint8], hole: NDArray[np.bool_], settings: Settings) -> Preview:
    """Returns the start of a search for one picture (H, W, 3): one pass through the encoder or the generator."""
    with PROPOSING:
        start = model_named(name)(picture[None], hole, replace(settings, steps=0, refine=0))
    return Preview(0, start.images, start.context_loss)


@on_gpu
def generate(name: str, codes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Generates the images G(z) of codes (N, latent_size): uint8 (N, H, W, 3)."""
    model = model_named(name)
    with torch.no_grad():
        return to_uint8(model.model.generate(torch.from_numpy(codes).to(model.device)))


def stream(
    run: Callable[[Callable[[int, Progress], bool]], Result],
    steps: int,
    stop: StopSwitch | threading.Event,
    previews: int = PREVIEWS,
) -> Iterator[Preview | Result]:
    """Turns a search with a callback into an iterator.

    Args:
        run: runs the search with a given callback.
        steps: number of steps of the search.
        stop: ends the search early once set.
        previews: approximate number of previews.

    Yields:
        A `Preview` of the start, of about `previews` steps in between and of the last step, then the `Result`.

    Raises:
        Whatever the search raises.
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
        except Exception as error:  # re-raised in the consumer
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
