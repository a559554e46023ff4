"""What a call of the inpainter returns, and what its callback sees on the way."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from . import blending
from . import images as img
from .search import SearchState
from .settings import Settings


@dataclass(frozen=True)
class Progress:
    """The search of some of the pictures after `step` of `steps` steps.

    `pictures` holds the index of each row's picture (several rows share one when there are several starts), `state`
    the rows' codes, images and losses. `compose` returns the pictures filled as they stand: uint8 (rows, H, W, 3).
    """

    step: int
    steps: int
    pictures: NDArray[np.intp]
    state: SearchState
    compose: Callable[[], NDArray[np.uint8]]


Watch = Callable[[int, Progress], bool | None]  # callback(step, progress); True ends the search


@dataclass(frozen=True)
class Result:
    """Filled pictures, one row per picture."""

    images: NDArray[np.uint8]  # (N, H, W, 3), the filled pictures
    generated: NDArray[np.uint8]  # (N, H, W, 3), G(z), refined and averaged if that was asked for
    latents: NDArray[np.float32]  # (N, latent_size)
    context_loss: NDArray[np.float32]  # (N,), of `generated`
    prior_loss: NDArray[np.float32]  # (N,), of `generated`, without its factor lambda
    pictures: NDArray[np.uint8]  # (N, H, W, 3), what the model saw, zero in the hole
    hole: NDArray[np.bool_]  # (N, H, W)
    settings: Settings  # with the value that was taken for every None and "auto"
    steps: int  # taken by the longest search; 0 where there was nothing to search
    refined: NDArray[np.bool_]  # (N,), which pictures were refined
    seconds: float  # from the call to this result
    notes: tuple[str, ...] = ()  # what was done to the input, one sentence each
    _generated: Tensor = field(repr=False, default=None)

    @property
    def loss(self) -> NDArray[np.float32]:
        """The total that the search minimises: context loss + lambda * prior loss, (N,)."""
        return self.context_loss + np.float32(self.settings.prior_weight) * self.prior_loss

    def compose(self, blend: str) -> NDArray[np.uint8]:
        """The same fillings with another `blend`: uint8 (N, H, W, 3)."""
        return compose(self.pictures, self._generated, self.hole, blend)


def compose(pictures: NDArray, generated: Tensor, holes: NDArray, blend: str) -> NDArray[np.uint8]:
    """Fills pictures uint8 (N, H, W, 3) from generated images (N, 3, H, W) in [-1, 1]: uint8 (N, H, W, 3)."""
    filled = blending.compose(img.to_tensor(pictures), generated.cpu(), from_numpy(holes), blend)
    return img.to_uint8(filled)
