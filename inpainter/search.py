"""The latent search: find the code whose image agrees with what is left (CVPR section 3.2, eq. 2)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import losses
from .models import LatentModel

STEPS = 1500
PRIOR_WEIGHT = 0.003  # lambda, against the context loss summed over pixels and channels
LEARNING_RATE = 0.03  # the papers do not give one


@dataclass(frozen=True)
class SearchState:
    """Where a search stands after `step` steps; every tensor belongs to the same codes.

    z (N, latent_size), images = G(z) (N, 3, H, W) in [-1, 1], context_loss (N,), prior_loss (N,)
    before its factor lambda, loss (N,) the weighted total.
    """

    step: int
    z: Tensor
    images: Tensor
    context_loss: Tensor
    prior_loss: Tensor
    loss: Tensor


Callback = Callable[[int, SearchState], bool | None]


def search(
    model: LatentModel,
    pictures: Tensor,
    hole: Tensor,
    z: Tensor,
    *,
    steps: int = STEPS,
    prior_weight: float | Tensor = PRIOR_WEIGHT,
    learning_rate: float = LEARNING_RATE,
    window: int | None = losses.WINDOW,
    norm: str = "l1",
    callback: Callback | None = None,
) -> SearchState:
    """Adam on context loss + lambda * prior loss, the code clipped to the model's bound after every step.

    Every row is a search of its own: several pictures, or several starts of one, ride in one batch
    without touching each other.

    Args:
        model: in evaluation mode, without parameter gradients.
        pictures: float32 (N, 3, H, W) in [-1, 1]; what is under the hole is not read.
        hole: bool (N, H, W), True = missing.
        z: float32 (N, latent_size), the starting codes.
        steps: number of Adam steps; 0 evaluates the start.
        prior_weight: lambda, one for all or one per row (N,).
        learning_rate: Adam's step size.
        window, norm: as in `losses.importance_weights` and `losses.context_loss`.
        callback: called as callback(step, state) before the first step and after each one; returning
            True ends the search there.

    Returns:
        The last state.
    """
    weights = losses.importance_weights(hole, window)
    pictures = pictures.masked_fill(hole[:, None], 0)
    z = z.detach().clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=learning_rate)
    for step in range(steps + 1):
        with torch.enable_grad():
            # Not z itself: under autocast the first cast of a leaf is cached, and the search would not move.
            images = model.generate(z.clone()).float()
            context = losses.context_loss(images, pictures, weights, norm)
            prior = model.prior_loss(images, z)
            loss = context + prior_weight * prior
        state = SearchState(step, z.detach().clone(), images.detach(), context.detach(), prior.detach(), loss.detach())
        if (callback is not None and callback(step, state)) or step == steps:
            return state
        (z.grad,) = torch.autograd.grad(loss.sum(), z)  # rows do not interact: each gets its own gradient
        adam.step()
        if model.latent_bound is not None:
            with torch.no_grad():
                z.clamp_(-model.latent_bound, model.latent_bound)
