"""The latent search: finds the code whose image matches the known pixels of a picture (CVPR section 3.2, eq. 2)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models import LatentModel
from . import losses
from .kernels import quick

STEPS = 1500
PRIOR_WEIGHT = 0.003  # lambda, against the context loss summed over pixels and channels
# Not given in the papers. After 1500 steps on held-out faces, 0.005 is as good for centre holes and 0.2 dB worse for
# half holes (PSNR in the hole, 16 and 40 faces); 0.1 is no better for either.
LEARNING_RATE = 0.03


@dataclass(frozen=True)
class SearchState:
    """State of a search after `step` steps; all tensors belong to the same codes."""

    step: int
    z: Tensor  # (N, latent_size)
    images: Tensor  # G(z), (N, 3, H, W) in [-1, 1]
    context_loss: Tensor  # (N,)
    prior_loss: Tensor  # (N,), without its factor lambda
    loss: Tensor  # (N,), the weighted total


Callback = Callable[[int, SearchState], bool | None]


def search(
    model: LatentModel,
    pictures: Tensor,
    hole: Tensor,
    z: Tensor,
    *,
    steps: int = STEPS,
    learning_rate: float | Callable[[int], float | Tensor] = LEARNING_RATE,
    truncation: float = 1,
    precision: str = "float32",
    callback: Callback | None = None,
    prior_weight: float | Tensor = PRIOR_WEIGHT,
    window: int | str | None = "auto",
    norm: str = "l1",
    **schedule,
) -> SearchState:
    """Minimises context loss + lambda * prior loss with Adam, clipping the code to its box; returns the last state.

    Each row is an independent search: several pictures, or several starts of one, can share a batch.

    Args:
        model, pictures, hole, prior_weight, window, norm: as for `Objective`.
        z: float32 (N, latent_size), the starting codes.
        steps: number of Adam steps; 0 only evaluates the starting codes.
        learning_rate: Adam's step size, constant or a function of the step, see `descend`.
        truncation: as for `box`.
        precision: "float32" or "bfloat16" for the networks' features.
        callback: called as callback(step, state) before the first step and after each one; returning True ends the
            search.
        schedule: `betas`, `anchor` and `prior_every` of `descend`.
    """
    evaluate = Objective(quick(model, precision), pictures, hole, prior_weight, window, norm)
    step_size = learning_rate if callable(learning_rate) else lambda step: learning_rate
    return descend(evaluate, z, steps, step_size, box(model, truncation), callback, **schedule)


class Objective:
    """Context loss + lambda * prior loss (CVPR eq. 3 to 5) of codes, and its gradient.

    Args:
        model: in evaluation mode, without parameter gradients.
        pictures: float32 (N, 3, H, W) in [-1, 1]; pixels under the hole are not read.
        hole: bool (N, H, W), True = missing.
        prior_weight: lambda, one for all or one per row (N,).
        window, norm: as for `losses.importance_weights` and `losses.context_loss`.
    """

    def __init__(
        self,
        model: LatentModel,
        pictures: Tensor,
        hole: Tensor,
        prior_weight: float | Tensor,
        window: int | str | None,
        norm: str,
    ):
        self.model, self.prior_weight, self.norm = model, prior_weight, norm
        self.weights = losses.importance_weights(hole, window)  # (N, 1, H, W)
        self.pictures = pictures.masked_fill(hole[:, None], 0).contiguous(memory_format=torch.channels_last)
        self.pull: Tensor | None = None  # gradient of the weighted prior w.r.t. the images (N, 3, H, W)

    @torch.enable_grad()
    def __call__(self, z: Tensor, step: int = 0, fresh: bool = True) -> tuple[SearchState, Tensor]:
        """Returns the state at codes z (N, latent_size) and the gradient of its loss with respect to z.

        Unless `fresh`, reuses the loss and gradient of an image prior.
        """
        z = z.detach().requires_grad_()
        images = self.model.generate(z)
        context = losses.context_loss(images, self.pictures, self.weights, self.norm)
        of_code = self._judge(images.detach(), z.detach()) if fresh or self.pull is None else 0.0
        pulls = [] if self.pull is None else [self.pull]
        (gradient,) = torch.autograd.grad([context.sum(), images][: 1 + len(pulls)], z, [None, *pulls])
        context = context.detach()
        loss = context + self.prior_weight * self.prior_loss
        return SearchState(step, z.detach(), images.detach(), context, self.prior_loss, loss), gradient + of_code

    @torch.no_grad()
    def state(self, z: Tensor, step: int) -> SearchState:
        """Returns the state at codes z with a fresh prior loss, and no gradient."""
        images = self.model.generate(z)
        context = losses.context_loss(images, self.pictures, self.weights, self.norm)
        prior = self.model.prior_loss(images, z)
        return SearchState(step, z, images, context, prior, context + self.prior_weight * prior)

    def _judge(self, images: Tensor, z: Tensor) -> Tensor | float:
        """Updates the prior loss and its gradient w.r.t. the images; returns its direct gradient w.r.t. the codes."""
        images, z = images.requires_grad_(), z.requires_grad_()
        prior = self.model.prior_loss(images, z)
        self.prior_loss, self.pull = prior.detach(), None
        if not prior.requires_grad:
            return 0.0
        total = (self.prior_weight * prior).sum()
        self.pull, of_code = torch.autograd.grad(total, (images, z), allow_unused=True)
        return 0.0 if of_code is None else of_code


def box(model: LatentModel, truncation: float) -> float | None:
    """Returns the largest absolute value of a code's coordinates in a search; None if the model sets no bound.

    `truncation` is the fraction of the model's bound: 1 is the paper's box; less keeps the search away from the
    corners, which training rarely sampled (after Brock et al., *Large Scale GAN Training*, ICLR 2019, section 3.1).
    """
    return model.latent_bound and truncation * model.latent_bound


def descend(
    evaluate: Objective,
    z: Tensor,
    steps: int,
    step_size: Callable[[int], float | Tensor],
    bound: float | None = None,
    callback: Callback | None = None,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    anchor: float | Tensor = 0,
    prior_every: int = 1,
) -> SearchState:
    """Evaluates, steps and clips: the loop of every search. Arguments and result as for `search`, except:

    Args:
        step_size: Adam's step size as a function of the step; a number, or one per row (N, 1).
        bound: largest absolute value of each coordinate of z; None: unbounded.
        anchor: adds anchor * |z - start|^2 to the objective, but not to the reported losses; a number or (N, 1).
        prior_every: steps between evaluations of the prior; its last loss and gradient are reused in between.
    """
    start, adam = z, Adam(betas)
    for step in range(steps):
        fresh = step % prior_every == 0
        state, gradient = evaluate(z, step, fresh)
        if callback is not None and callback(step, state):
            return state if fresh else evaluate.state(z, step)  # whose prior loss belongs to these codes
        z = z - step_size(step) * adam.direction(gradient + 2 * anchor * (z - start))
        if bound is not None:
            z = z.clamp(-bound, bound)
    state = evaluate.state(z, steps)
    if callback is not None:
        callback(steps, state)
    return state


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1). Its moments are elementwise, so rows do not interact."""

    def __init__(self, betas: tuple[float, float]):
        self.betas, self.steps, self.mean, self.square = betas, 0, 0.0, 0.0

    def direction(self, gradient: Tensor) -> Tensor:
        """Returns the update for a step of size 1, to be subtracted."""
        self.steps += 1
        beta1, beta2 = self.betas
        self.mean = beta1 * self.mean + (1 - beta1) * gradient
        self.square = beta2 * self.square + (1 - beta2) * gradient.square()
        mean, square = self.mean / (1 - beta1**self.steps), self.square / (1 - beta2**self.steps)  # unbiased
        return mean / (square.sqrt() + 1e-8)
