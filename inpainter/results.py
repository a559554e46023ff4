"""The result of an inpainter call, and the progress passed to its callback."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from . import blending
from . import images as img
from .search import Callback, SearchState
from .settings import Settings


@dataclass(frozen=True)
class Progress:
    """State of the search for one batch of rows after `step` of `steps` steps.

    `pictures` holds each row's picture index (several starts of one picture are several rows), `state` the rows' codes,
    images and losses. `compose` returns the pictures as filled so far: uint8 (rows, H, W, 3).
    """

    step: int
    steps: int
    pictures: NDArray[np.intp]
    state: SearchState
    compose: Callable[[], NDArray[np.uint8]]


Watch = Callable[[int, Progress], bool | None]  # callback(step, progress); True ends the search


@dataclass(frozen=True)
class Filling:
    """What a search found, before blending: codes and images on the CPU."""

    latents: Tensor  # (N, latent_size)
    images: Tensor  # G(z), refined where `refined`: (N, 3, H, W)
    refined: NDArray[np.bool_]  # (N,)
    steps: int  # of the longest search


@dataclass(frozen=True)
class Result:
    """Filled pictures, one row per picture."""

    images: NDArray[np.uint8]  # (N, H, W, 3), the filled pictures
    generated: NDArray[np.uint8]  # (N, H, W, 3), G(z), refined and averaged as the settings ask
    latents: NDArray[np.float32]  # (N, latent_size)
    context_loss: NDArray[np.float32]  # (N,), of `generated`
    prior_loss: NDArray[np.float32]  # (N,), of `generated`, without its factor lambda
    pictures: NDArray[np.uint8]  # (N, H, W, 3), the model's input, zero in the hole
    hole: NDArray[np.bool_]  # (N, H, W)
    settings: Settings  # with every None and "auto" resolved
    steps: int  # taken by the longest search; 0 if there was nothing to search
    refined: NDArray[np.bool_]  # (N,), which pictures were refined
    seconds: float  # duration of the call
    notes: tuple[str, ...] = ()  # remarks on the input and how it was fitted, one sentence each
    _generated: Tensor = field(repr=False, default=None)

    @property
    def loss(self) -> NDArray[np.float32]:
        """Total loss that the search minimises: context loss + lambda * prior loss, (N,)."""
        return self.context_loss + np.float32(self.settings.prior_weight) * self.prior_loss

    def compose(self, blend: str) -> NDArray[np.uint8]:
        """Composes the same fillings with another `blend`: uint8 (N, H, W, 3)."""
        return compose(self.pictures, self._generated, self.hole, blend)


def reporter(watch: Watch, pictures: NDArray, holes: NDArray, rows: NDArray, settings: Settings) -> Callback:
    """Wraps a user's callback for the search of some rows; row i belongs to picture rows[i]."""

    def report(step: int, state: SearchState) -> bool | None:
        shown = lambda: compose(pictures[rows], state.images, holes[rows], settings.blend)  # noqa: E731
        return watch(step, Progress(step, settings.steps, rows, state, shown))

    return report


def compose(pictures: NDArray, generated: Tensor, holes: NDArray, blend: str) -> NDArray[np.uint8]:
    """Fills pictures uint8 (N, H, W, 3) from generated images (N, 3, H, W) in [-1, 1]: uint8 (N, H, W, 3)."""
    filled = blending.compose(img.to_tensor(pictures), generated.cpu(), from_numpy(holes), blend)
    return img.to_uint8(filled)
