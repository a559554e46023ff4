"""Inpainter: pictures with holes in, filled pictures out.

Of several starts, the one with the lowest total loss is kept. Where an encoder proposed a code, each start's loss also
includes the anchor times its squared distance from the proposal, as in the search from the proposal itself. A low
context loss shows that the known pixels match but says little about the hole: without this term a random start that
matches slightly better would replace the encoder's better picture.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import images as img
from .devices import device_from_name, placed
from .mirror import averaged, mirrored, mirrored_watch
from .models import Encoder, LatentModel
from .pretrained import Pretrained
from .reading import Holes, Pictures, prepare
from .results import Filling, Result, Watch, compose, reporter
from .search import LEARNING_RATE, Callback, SearchState, fast, losses, search
from .search.kernels import quick
from .search.refine import refine
from .settings import Settings

Bound = tuple[LatentModel, Tensor, Tensor]  # bound to pictures (N, 3, H, W) and their holes (N, H, W), which follow


class Inpainter(Pretrained):
    """Fills holes by searching a generator's latent space.

    Attributes:
        model: the generator and its prior, in evaluation mode.
        encoder: proposes starting codes for fast searches; None if the model has none.
        size: side in pixels of the square pictures it fills.
        device: where the search runs.
    """

    def __init__(self, model: LatentModel, device: str | torch.device = "auto", encoder: Encoder | None = None):
        self.device = device_from_name(device)
        self.model = placed(model, self.device)
        self.encoder = encoder and placed(encoder, self.device)
        self.size: int = model.config.image_size

    def __call__(
        self, images: Pictures, hole: Holes, settings: Settings = Settings(), callback: Watch | None = None, **fields
    ) -> Result:
        """Fills each picture's hole.

        Args:
            images: PIL image, list of them, or uint8 (H, W, 3) / (N, H, W, 3). Pictures that are not of the model's
                size are cropped to the centre square and resized; `Result.notes` says so.
            hole: bool (H, W) or (N, H, W), or a PIL image in which 128 or brighter = missing.
            settings: all options of the fill.
            callback: called as callback(step, progress) before the first step and after each one; returning True
                ends the search for these pictures and keeps its result unrefined. With `both_ways`, it is called
                again for the search on the mirrored pictures.
            fields: changes to `settings`: `model(x, hole, steps=300)` is `model(x, hole, Settings(steps=300))`.

        Returns:
            A `Result`. A picture with an empty hole comes back unchanged; one that is entirely missing becomes a
            sample of the model. `Result.notes` says so.

        Raises:
            TypeError, ValueError: naming the argument, what was expected and the value seen.
        """
        started = time.perf_counter()
        pictures, holes, notes = prepare(images, hole, self.size)
        settings = settings.with_fields(**fields).resolved(self.model, len(pictures))
        found = self._fill(pictures, holes, settings, callback)
        if settings.both_ways:
            turned = self._fill(mirrored(pictures), mirrored(holes), settings, callback and mirrored_watch(callback))
            found = averaged(found, turned, holes)
        context_loss, prior_loss = self._losses(pictures, holes, found, settings)
        return Result(
            images=compose(pictures, found.images, holes, settings.blend),
            generated=img.to_uint8(found.images),
            latents=found.latents.numpy(),
            context_loss=context_loss.numpy(),
            prior_loss=prior_loss.numpy(),
            pictures=pictures,
            hole=holes,
            settings=settings,
            steps=found.steps,
            refined=found.refined,
            seconds=time.perf_counter() - started,
            notes=notes,
            _generated=found.images,
        )

    def _fill(self, pictures: NDArray, holes: NDArray, settings: Settings, callback: Watch | None) -> Filling:
        """Searches from each picture's starting codes, keeps the best code and refines its image."""
        count, starts, bound = holes.shape[0], settings.starts, self._binding(pictures, holes)
        searched = np.flatnonzero(holes.any((1, 2)) & ~holes.all((1, 2)))
        begun, proposed = self._starting_codes(pictures, holes, searched, settings)
        codes, score = begun.clone(), torch.zeros(count, starts)  # pictures not searched keep their first code
        refined, steps = np.isin(np.arange(count), searched) & (settings.refine > 0), 0
        rows = np.stack([searched.repeat(starts), np.tile(np.arange(starts), len(searched))])
        if settings.steps == 0 and starts == 1 and callback is None:
            rows = rows[:, :0]  # nothing to search, to compare or to show: spares a pass through G and D
        for first in range(0, rows.shape[1], settings.batch_size):
            which, start = rows[:, first : first + settings.batch_size]
            origin = begun[which, start], proposed[which, start]
            report = callback and reporter(callback, pictures, holes, which, settings)
            state = self._search(bound(*which), which, *origin, settings, report)
            codes[which, start], score[which, start] = state.z.cpu(), state.loss.cpu()
            refined[which] &= state.step == settings.steps
            steps = max(steps, state.step)
        if self.encoder is not None:
            score += settings.anchor * proposed[:, :1] * (codes - begun[:, :1]).square().sum(2)
        latents = codes[torch.arange(count), score.argmin(1)]  # (N, latent_size)
        images = self._images(bound, latents, refined, settings)
        return Filling(latents, images, refined, steps)

    def _starting_codes(self, pictures, holes, searched, settings: Settings) -> tuple[Tensor, Tensor]:
        """Returns codes (N, starts, latent_size), and which of them are proposals: bool (N, starts).

        In paper mode, codes are drawn from the seed. In fast mode with seed 0, the first start is the encoder's
        proposal, or z = 0 for a conditional generator. A conditional generator's starts are all proposals, the others
        as drawn; elsewhere the other starts are the best of several drawn codes.
        """
        starts = settings.starts
        share = 1 if self.model.latent_bound is None else settings.truncation
        codes = torch.stack([self._draw(starts, seed) for seed in settings.seed])  # (N, starts, latent_size)
        proposed = torch.zeros(codes.shape[:2], dtype=torch.bool)
        codes[searched] *= share
        if settings.mode == "paper":
            return codes, proposed
        seeds = np.array(settings.seed)
        if self.model.conditional:
            proposed[searched] = True
            codes[searched[seeds[searched] == 0], 0] = 0
            return codes, proposed
        for seed in np.unique(seeds[searched]):
            same = searched[seeds[searched] == seed]
            batch = self._to_device(pictures[same], holes[same])
            first = int(seed == 0 and self.encoder is not None)
            if first:
                codes[same, 0] = self.encoder.propose(*batch, settings.truncation).cpu()
                proposed[same, 0] = True
            if (drawn := starts - first) > 0:
                candidates = share * self._draw(max(fast.CANDIDATES, drawn), int(seed)).to(self.device)
                kind = {name: getattr(settings, name) for name in ("window", "norm", "precision")}
                codes[same, first:] = fast.best_codes(self.model, *batch, candidates, drawn, **kind).cpu()
        return codes, proposed

    def _draw(self, count: int, seed: int) -> Tensor:
        """Draws codes (count, latent_size) that depend only on the seed, not on the batch or the device."""
        return self.model.sample_latents(count, torch.Generator().manual_seed(seed))

    def _binding(self, pictures: NDArray[np.uint8], holes: NDArray[np.bool_]) -> Callable[..., Bound]:
        """Returns a function from the indices of pictures to the model bound to them, the pictures and their holes.

        It keeps what it returned last: after the search of a single batch, the generator's encoder need not run again.
        """

        @lru_cache(maxsize=1)
        def bound(*which: int) -> Bound:
            batch = self._to_device(pictures[list(which)], holes[list(which)])
            return self.model.bound(*batch), *batch

        return bound

    def _search(self, bound: Bound, which, z, proposed, settings: Settings, report: Callback | None) -> SearchState:
        """Searches from codes z, some of them `proposed`; row i belongs to picture which[i]."""
        options = {name: getattr(settings, name) for name in ("steps", "window", "norm", "truncation", "precision")}
        options["prior_weight"] = torch.tensor(settings.prior_weight, device=self.device)[which]
        options["callback"] = report
        if settings.mode == "paper":
            options["learning_rate"] = settings.learning_rate or LEARNING_RATE
            return search(*bound, z.to(self.device), **options)
        options |= {"learning_rate": settings.learning_rate, "proposed": proposed, "anchor": settings.anchor}
        return fast.fast_search(*bound, z.to(self.device), **options)

    @torch.no_grad()
    def _images(self, bound: Callable[..., Bound], latents: Tensor, refined, settings: Settings) -> Tensor:
        """Generates the images of codes, refined where `refined`: float32 (N, 3, H, W), on the CPU."""
        parts = []
        for part in batches(len(latents), settings.batch_size):
            (model, *batch), z = bound(*part), latents[part].to(self.device)
            images = quick(model, "float32").generate(z)
            if refined[part].any():
                some = torch.from_numpy(refined[part]).to(self.device)
                kind = {name: getattr(settings, name) for name in ("window", "norm", "precision")}
                rows = (tensor[some] for tensor in (*batch, z))
                images[some] = refine(self.model, *rows, steps=settings.refine, **kind)
            parts.append(images.cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def _losses(self, pictures, holes, found: Filling, settings: Settings) -> tuple[Tensor, Tensor]:
        """Returns the context loss and unweighted prior loss of the images found, each (N,), on the CPU."""
        context, prior = [], []
        for part in batches(len(pictures), settings.batch_size):
            batch = self._to_device(pictures[part], holes[part])
            images, z = found.images[part].to(self.device), found.latents[part].to(self.device)
            weights = losses.importance_weights(batch[1], settings.window)
            context.append(losses.context_loss(images, batch[0], weights, settings.norm).cpu())
            prior.append(self.model.bound(*batch).prior_loss(images, z).float().cpu())
        return torch.cat(context), torch.cat(prior)

    def _to_device(self, pictures: NDArray[np.uint8], holes: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        return img.to_tensor(pictures, self.device), torch.from_numpy(holes).to(self.device)


def batches(count: int, largest: int) -> list[NDArray[np.intp]]:
    """Splits the rows 0 to count - 1 into the fewest batches of at most `largest` rows, of about equal sizes."""
    return np.array_split(np.arange(count), -(-count // largest))
