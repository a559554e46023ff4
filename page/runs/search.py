"""A search as a stream of previews that ends with its result."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from inpainter import Progress, Result, Settings
from inpainter.images import to_tensor, to_uint8
from inpainter.results import compose
from inpainter.settings import usual_blend

from ..gpu import ZERO_GPU, on_gpu
from ..models import model_named
from .turns import TURNS, StopSwitch, Visit

PREVIEWS = 40  # a search, however many steps it takes

T = TypeVar("T")


@dataclass(frozen=True)
class Preview:
    """State of a search at one step, one row per picture."""

    step: int
    images: NDArray[np.uint8]  # (N, H, W, 3), filled
    context_loss: NDArray[np.float32]  # (N,)


def search(
    name: str,
    pictures: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    settings: Settings,
    visit: Visit,
    previews: int = PREVIEWS,
) -> Iterator[Preview | Result]:
    """Fills the hole in pictures (N, H, W, 3), in a number of steps that the settings give; it is the visit's turn.

    Yields and raises as `stream`.
    """
    if ZERO_GPU:  # a lent GPU is given back when idle
        return search_until(name, pictures, hole, settings, visit.switch, previews)
    give_way, leave = (partial(each, visit) for each in (TURNS.searches.give_way, TURNS.searches.leave))
    return search_until(name, pictures, hole, settings, visit.switch, previews, give_way, leave)


@on_gpu
def search_until(
    name: str,
    pictures: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    settings: Settings,
    stop: StopSwitch,
    previews: int = PREVIEWS,
    give_way: Callable[[], None] | None = None,
    leave: Callable[[], None] | None = None,
) -> Iterator[Preview | Result]:
    """As `search`, with what it has to know of turns."""
    run = partial(model_named(name), pictures, hole, settings)
    yield from stream(run, settings.steps, stop, previews, give_way, leave)


def propose(
    name: str, picture: NDArray[np.uint8], hole: NDArray[np.bool_], settings: Settings, visit: Visit
) -> Preview | None:
    """Where a search of one picture (H, W, 3) begins: one pass through the encoder or the generator.

    Proposals wait for one another, not for searches. None if the visit was superseded meanwhile.
    """
    with TURNS.proposals.turn(visit) as wanted:
        if not wanted:
            return None
        start = model_named(name)(picture[None], hole, replace(settings, steps=0, refine=0))
    return Preview(0, start.images, start.context_loss)


@on_gpu
def generate(
    name: str, codes: NDArray[np.float32], picture: NDArray[np.uint8], hole: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Generates the images of codes (N, latent_size): uint8 (N, H, W, 3).

    A model that sees the picture fills its hole, once per code; of the others, these are samples G(z).
    """
    model = model_named(name)
    z = torch.from_numpy(codes).to(model.device)
    with torch.no_grad():
        if not model.model.conditional:
            return to_uint8(model.model.generate(z))
        pictures, holes = (np.repeat(each[None], len(codes), axis=0) for each in (picture, hole))
        bound = model.model.bound(to_tensor(pictures, model.device), torch.from_numpy(holes).to(model.device))
        return compose(pictures, bound.generate(z).float().clamp(-1, 1), holes, usual_blend(model.model))


def stream(
    run: Callable[[Callable[[int, Progress], bool]], Result],
    steps: int,
    stop: StopSwitch | threading.Event,
    previews: int = PREVIEWS,
    give_way: Callable[[], None] | None = None,
    leave: Callable[[], None] | None = None,
) -> Iterator[Preview | Result]:
    """Turns a search with a callback into an iterator.

    Args:
        run: runs the search with a given callback.
        steps: number of steps of the search.
        stop: ends the search early once set.
        previews: about how many to make on the way.
        give_way: called after each step; the search goes on when it returns.
        leave: called when the search has ended, even if nobody reads on.

    Yields:
        A `Preview` of the start, of about `previews` steps in between and of the last step, then the `Result`.

    Raises:
        Whatever the search raises.
    """
    every = max(1, steps // previews)

    def work(tell: Callable[[Preview | Result], None]) -> None:
        def report(step: int, progress: Progress) -> bool:
            if give_way is not None:
                give_way()
            stopped = stop.is_set()
            if stopped or step % every == 0 or step == steps:
                tell(Preview(step, progress.compose(), progress.state.context_loss.cpu().numpy()))
            return stopped

        tell(run(report))

    return told(work, stop, leave)


def told(
    work: Callable[[Callable[[T], None]], None],
    stop: StopSwitch | threading.Event,
    leave: Callable[[], None] | None = None,
) -> Iterator[T]:
    """Yields what `work` tells while it runs in a thread, which goes on to its end even if nobody reads on.

    Args:
        work: called with a function that takes what to yield next.
        stop: set when the iterator is closed before the end.
        leave: called when the work has ended, even if nobody reads on.

    Raises:
        Whatever the work raises.
    """
    items: SimpleQueue[tuple[T | Exception | None, bool]] = SimpleQueue()  # and whether it is the end

    def run() -> None:
        end = None
        try:
            work(lambda item: items.put((item, False)))
        except Exception as error:  # re-raised in the consumer
            end = error
        finally:
            if leave is not None:
                leave()
            items.put((end, True))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        while True:
            item, ended = items.get()
            if not ended:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        stop.set()
        thread.join()
