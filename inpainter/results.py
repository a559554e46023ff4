"""What a call of the inpainter gives: the result, and its progress on the way there."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from . import blending
from . import images as img
from .search import SearchState


@dataclass(frozen=True)
class Progress:
    """What a callback sees: the search of some of the pictures, after `step` of `steps` steps.

    `pictures` holds the index of each row's picture (several rows with several starts); `state` its
    codes, images and losses. `compose` fills the pictures as they stand.
    """

    step: int
    steps: int
    pictures: NDArray[np.intp]
    state: SearchState
    compose: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class Result:
    """Filled pictures and how they came about; one row a picture."""

    images: NDArray[np.uint8]  # (N, H, W, 3), the filled pictures
    generated: NDArray[np.uint8]  # (N, H, W, 3), G(z), refined if that was asked for
    latents: NDArray[np.float32]  # (N, latent_size)
    context_loss: NDArray[np.float32]  # (N,)
    prior_loss: NDArray[np.float32]  # (N,), with its factor lambda
    pictures: NDArray[np.uint8]  # (N, H, W, 3), what the model saw, zero in the hole
    hole: NDArray[np.bool_]  # (N, H, W)
    mode: str  # "fast" or "paper"
    steps: int  # that the longest search took; 0 where there was nothing to search
    seconds: float  # that all of it took, blending included
    notes: tuple[str, ...] = ()  # what was done to the input, one sentence each
    refine: int = 0  # steps of refinement that followed
    _generated: Tensor = field(repr=False, default=None)

    def compose(self, blend: str) -> NDArray[np.uint8]:
        """The same search with another `blend`: uint8 (N, H, W, 3)."""
        return compose(self.pictures, self._generated, self.hole, blend)


def compose(pictures: NDArray, generated: Tensor, holes: NDArray, blend: str) -> NDArray[np.uint8]:
    """The pictures uint8 (N, H, W, 3), their holes filled with the generated images (N, 3, H, W) in [-1, 1]."""
    filled = blending.compose(img.to_tensor(pictures), generated.cpu(), from_numpy(holes), blend)
    return img.to_uint8(filled)
