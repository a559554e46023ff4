"""The loops that are compared, the pictures that they search for, and what they find."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from inpainter import Inpainter, Settings, blending, metrics
from inpainter import images as img
from inpainter.devices import quick_precision
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT, SearchState, fast, losses, search
from inpainter.search import refine as refining

SEARCHED_AT_ONCE = 16  # pictures of a whole search


@dataclass(frozen=True)
class Problem:
    """Pictures uint8 (N, H, W, 3), their holes bool (N, H, W), and codes (N, latent_size) to start from."""

    pictures: NDArray[np.uint8]
    holes: NDArray[np.bool_]
    codes: Tensor
    proposed: Tensor | None = None  # bool (N,), which codes are an encoder's proposals; None: none

    def first(self, count: int) -> "Problem":
        """As many pictures as asked for, repeated where there are too few."""
        return self.part(np.arange(count) % len(self.pictures))

    def part(self, rows: NDArray[np.intp] | slice) -> "Problem":
        """Some of the pictures."""
        proposed = None if self.proposed is None else self.proposed[rows]
        return Problem(self.pictures[rows], self.holes[rows], self.codes[rows], proposed)

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        pictures, holes = img.to_tensor(self.pictures, device), torch.from_numpy(self.holes).to(device)
        return pictures, holes, self.codes.to(device)


Loop = Callable[[Problem, int, Callable[[int, SearchState], None] | None], Tensor]


def textbook(model: torch.nn.Module, device: torch.device) -> Loop:
    """(problem, steps, callback) to codes (N, latent_size), by the loop that people write."""

    def loop(problem: Problem, steps: int, callback=None) -> Tensor:
        pictures, holes, codes = problem.tensors(device)
        weights = losses.importance_weights(holes)
        z = codes.clone().requires_grad_()
        adam = torch.optim.Adam([z], lr=LEARNING_RATE)
        for step in range(steps):
            images = model.generator(z)
            context = (weights * (images - pictures)).abs().sum((1, 2, 3))
            prior = -torch.nn.functional.softplus(model.discriminator(images)).squeeze(1)
            loss = context + PRIOR_WEIGHT * prior
            if callback:
                callback(step, SearchState(step, z, images, context, prior, loss))
            adam.zero_grad()
            loss.sum().backward()
            adam.step()
            with torch.no_grad():
                z.clamp_(-1, 1)
        return z.detach()

    return loop


def paper(model: torch.nn.Module, device: torch.device) -> Loop:
    def loop(problem: Problem, steps: int, callback=None) -> Tensor:
        options = {"precision": quick_precision(device), "callback": callback}
        return search(model, *problem.tensors(device), steps=steps, **options).z

    return loop


def quick(model: torch.nn.Module, device: torch.device, anchor: float = fast.ANCHOR) -> Loop:
    def loop(problem: Problem, steps: int, callback=None) -> Tensor:
        settings = {"proposed": problem.proposed, "anchor": anchor, "precision": quick_precision(device)}
        return fast.fast_search(model, *problem.tensors(device), steps=steps, callback=callback, **settings).z

    return loop


def with_chosen_codes(inpainter: Inpainter, problem: Problem) -> Problem:
    """The problem with the codes that the fast mode would start from."""
    count = len(problem.codes)
    visible = np.where(problem.holes[..., None], 0, problem.pictures)
    settings = Settings().resolved(inpainter.model, count)
    codes, proposed = inpainter._starting_codes(visible, problem.holes, np.arange(count), settings)
    return replace(problem, codes=codes[:, 0], proposed=proposed[:, 0])


def run_search(loop: Loop, problem: Problem, steps: int, name: str) -> tuple[Tensor, NDArray[np.float64]]:
    """Searches all pictures, some at once: codes (N, latent_size), and the mean total loss after each step."""
    codes, curves = [], []
    count = len(problem.pictures)
    with tqdm(total=count * steps, desc=name, unit="step", disable=None, leave=False) as bar:
        for first in range(0, count, SEARCHED_AT_ONCE):
            rows = slice(first, first + SEARCHED_AT_ONCE)
            part = problem.part(rows)
            curve: list[Tensor] = []

            def watch(step: int, state: SearchState, part=part, curve=curve) -> None:
                curve.append(state.loss.detach().sum())
                bar.update(len(part.pictures) if step else 0)

            codes.append(loop(part, steps, watch))
            curves.append(torch.stack(curve).cpu().double().numpy())
    return torch.cat(codes), np.sum(curves, axis=0) / count


def refined(model: torch.nn.Module, problem: Problem, codes: Tensor, device: torch.device) -> Tensor:
    """The images (N, 3, H, W) that the fast mode makes of the codes which its search found."""
    pictures, holes, _ = problem.tensors(device)
    return refining.refine(model, pictures, holes, codes, precision=quick_precision(device))


def evaluate(
    model: torch.nn.Module, problem: Problem, codes: Tensor, device: torch.device, images: Tensor | None = None
) -> NDArray[np.float64]:
    """(N, 3): total loss of images, or else of those of the codes, and PSNR in the hole and SSIM when blended."""
    pictures, holes, _ = problem.tensors(device)
    with torch.no_grad():
        images = model.generate(codes) if images is None else images
        context = losses.context_loss(images, pictures, losses.importance_weights(holes))
        total = context + PRIOR_WEIGHT * model.prior_loss(images, codes)
        filled = img.to_uint8(blending.compose(pictures.cpu(), images.cpu(), holes.cpu()))
    scores = total.cpu().numpy(), metrics.psnr(filled, problem.pictures, problem.holes)
    return np.stack([*scores, metrics.ssim(filled, problem.pictures)], axis=1).astype(np.float64)
