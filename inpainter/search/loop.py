"""The latent search: find the code whose image agrees with what is left (CVPR section 3.2, eq. 2)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..models import EncoderConfig, LatentModel
from . import losses
from .kernels.graphs import replayed
from .kernels.objective import AutogradObjective, Evaluation, FoldedObjective, objective

STEPS = 1500
PRIOR_WEIGHT = 0.003  # lambda, against the context loss summed over pixels and channels
# The papers do not give one. After 1500 steps on held-out faces, 0.005 fills centres as well and halves 0.2 dB worse
# (PSNR in the hole, 16 and 40 faces), and 0.1 is no better on either.
LEARNING_RATE = 0.03
GRAPH_STEPS = 20  # from which on recording a CUDA graph pays


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
    feature_weight: float = 0,
    truncation: float = 1,
    callback: Callback | None = None,
) -> SearchState:
    """Adam on context loss + lambda * prior loss, the code clipped to its box after every step.

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
        feature_weight: of the feature loss, as in `kernels.objective.objective`; 0, as in the paper, leaves it out.
        truncation: as for `box`.
        callback: called as callback(step, state) before the first step and after each one; returning
            True ends the search there.

    Returns:
        The last state.
    """
    target = objective(model, pictures, hole, prior_weight, window, norm, feature_weight)
    return descend(target, z, steps, lambda step: learning_rate, box(model, truncation), callback)


def box(model: LatentModel | EncoderConfig, truncation: float) -> float | None:
    """How far from zero a search lets each coordinate of a code go; None for a model whose codes have no bound.

    Args:
        truncation: the share of the model's bound. 1 is the paper's; less keeps a search away from the corners of
            the box, where it goes to meet what is left of a picture, and what was hardly ever seen in training.

    Source: after the truncation of samples in Brock et al., *Large Scale GAN Training*, ICLR 2019, section 3.1.
    """
    return model.latent_bound and truncation * model.latent_bound


def descend(
    target: AutogradObjective,
    z: Tensor,
    steps: int,
    step_size: Callable[[int], float],
    bound: float | None,
    callback: Callback | None,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    pace: Tensor | None = None,
    anchor: Tensor | None = None,
    prior_every: int = 1,
) -> SearchState:
    """Adam from the codes z with the step size `step_size(step)`, times each row's `pace` (N,); the rest as `search`.

    With an `anchor` (N,), that times a code's squared distance from z is a part of what it descends, though not
    of the losses that it reports.

    The prior is brought up to date every `prior_every` steps, and for the last state; see `objective`.
    """
    adam = Adam(target, z, bound, betas, pace, anchor)
    full, quick = adam.step, partial(adam.step, prior=False)
    if z.device.type == "cuda" and steps >= GRAPH_STEPS and isinstance(target, FoldedObjective):
        full, quick = replayed(full, adam.state), replayed(quick, adam.state) if prior_every > 1 else quick
    for step in range(steps + 1):
        adam.step_size.fill_(step_size(step))
        codes, found = (full if step == steps or step % prior_every == 0 else quick)()
        if callback is not None or step == steps:
            state = SearchState(
                step, *(t.clone() for t in (codes, found.images, found.context_loss, found.prior_loss, found.loss))
            )
            if (callback is not None and callback(step, state)) or step == steps:
                return state


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) on codes (N, latent_size), clipped to [-bound, bound].

    A step changes `state` in place and reads nothing back, so that a GPU can replay it.
    """

    def __init__(
        self,
        target: AutogradObjective,
        z: Tensor,
        bound: float | None,
        betas: tuple[float, float],
        pace: Tensor | None = None,
        anchor: Tensor | None = None,
    ):
        self.target, self.bound = target, bound
        self.pace = torch.ones((), device=z.device) if pace is None else pace[:, None]
        self.anchor, self.origin = None if anchor is None else anchor[:, None], z.detach()
        self.z = self.origin.clone()
        self.mean, self.square = torch.zeros_like(z), torch.zeros_like(z)  # of the gradient
        self.betas = torch.tensor(betas, device=z.device)
        self.powers = torch.ones_like(self.betas)  # of the betas, as many as steps were taken
        self.step_size = torch.zeros((), device=z.device)
        self.state = (self.z, self.mean, self.square, self.powers)

    def step(self, prior: bool = True) -> tuple[Tensor, Evaluation]:
        """Evaluates the codes, then moves them; returns them as they were, and what was found."""
        codes = self.z.clone()
        found = self.target(codes, prior)
        gradient = found.gradient
        if self.anchor is not None:
            gradient = gradient + 2 * self.anchor * (codes - self.origin)
        beta1, beta2 = self.betas
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.lerp_(gradient.square(), 1 - beta2)
        self.powers.mul_(self.betas)
        mean, square = self.mean / (1 - self.powers[0]), self.square / (1 - self.powers[1])  # unbiased
        self.z.sub_(self.step_size * self.pace * mean / (square.sqrt() + 1e-8))
        if self.bound is not None:
            self.z.clamp_(-self.bound, self.bound)
        return codes, found
