"""Inpainter: pictures with holes in, filled pictures out.

Which of several starts is kept: the one with the lowest total loss; and where an encoder proposed a code, every
start's squared distance from it is added, times the anchor, as in the search from the proposal itself. A low context
loss says that the known pixels agree, and little of how good the hole looks: without that term a random start would
replace the encoder's better picture whenever it agrees a little better with the rest.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import hub, reading
from . import images as img
from .devices import device_from_name
from .mirror import mirrored, mirrored_watch
from .models import Encoder, LatentModel
from .models.base import PretrainedModel
from .results import Progress, Result, Watch, compose
from .search import LEARNING_RATE, SearchState, fast, losses, search
from .search.kernels import quick
from .search.refine import refine
from .settings import Settings

DEFAULTS = Settings()


@dataclass
class Filling:
    """What `Inpainter._fill` finds: codes (N, latent_size), images (N, 3, H, W), losses (N,), all on the CPU."""

    latents: Tensor
    images: Tensor
    context_loss: Tensor
    prior_loss: Tensor
    refined: NDArray[np.bool_]  # (N,)
    steps: int


class Inpainter:
    """Fills holes by searching a generator's latent space.

    Attributes:
        model: the generator and its prior, in evaluation mode.
        encoder: what proposes the codes that fast searches start from, None if the model has none.
        size: side in pixels of the square pictures it fills.
        device: where the search runs.
        notes: how the model was found, one sentence, where that is not quite as asked.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, model: LatentModel, device: str | torch.device = "auto", encoder: Encoder | None = None):
        self.device = device_from_name(device)
        self.model = self._placed(model)
        self.encoder = encoder and self._placed(encoder)
        self.size: int = model.config.image_size

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "auto",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Loads a bundled model, a model folder or a Hub repository.

        Offline, the cached copy of a Hub repository is used; `notes` and the log say so.

        Args:
            name: a bundled model such as "dcgan-celeba", a folder, or a Hub id such as "user/dcgan-celeba".
            device: "auto" (a GPU where there is one), "cpu", "cuda", ...
            revision, token, cache_dir, local_files_only: as in huggingface_hub.

        Raises:
            ModelError: when there is no such model, or it is not exactly what it should be.
        """
        device = device_from_name(device)
        found = hub.find(name, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only)
        model = hub.load(found.folder)
        inpainter = cls(model, device, hub.load_encoder(found.folder, model))
        inpainter.notes = (found.note,) if found.note else ()
        return inpainter

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a complete model folder: float16 weights, configuration, samples and model card."""
        hub.save(self.model, folder, encoder=self.encoder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        revision: str | None = None,
        create_pr: bool = False,
        token: str | None = None,
    ) -> str:
        """Publishes the model as a Hub repository and returns the commit's address; see `inpainter.hub.push`."""
        settings = {"private": private, "revision": revision, "create_pr": create_pr, "token": token}
        return hub.push_model(self.model, repo_id, encoder=self.encoder, **settings)

    def __call__(
        self,
        images: reading.Pictures,
        hole: reading.Holes,
        settings: Settings = DEFAULTS,
        callback: Watch | None = None,
        **fields,
    ) -> Result:
        """Fills each picture's hole.

        Args:
            images: PIL image, list of them, or uint8 (H, W, 3) / (N, H, W, 3). Other sizes than the
                model's are cropped to the centre square and resized; `Result.notes` says so.
            hole: bool (H, W) or (N, H, W), or PIL: 128 or brighter = missing.
            settings: how to fill it.
            callback: called as callback(step, progress) before the first step and after each; returning True ends
                the search of these pictures and keeps what was found, without refining it. With `both_ways`, it sees
                the search for the mirrored pictures as well, after the other.
            fields: changes to `settings`: `model(x, hole, steps=300)` is `model(x, hole, Settings(steps=300))`.

        Returns:
            A `Result`. A picture with an empty hole comes back as it was; for one with nothing left a
            sample of the model is returned, and `Result.notes` says so.

        Raises:
            TypeError, ValueError: with what was wrong, what was expected and the value seen.
        """
        started = time.perf_counter()
        pictures, holes, notes = self._prepare(images, hole)
        settings = settings.with_fields(**fields).resolved(self.model, len(pictures))
        found = self._fill(pictures, holes, settings, callback)
        if settings.both_ways:
            turned = self._fill(mirrored(pictures), mirrored(holes), settings, callback and mirrored_watch(callback))
            found = self._average(pictures, holes, settings, found, turned)
        return Result(
            images=compose(pictures, found.images, holes, settings.blend),
            generated=img.to_uint8(found.images),
            latents=found.latents.numpy(),
            context_loss=found.context_loss.numpy(),
            prior_loss=found.prior_loss.numpy(),
            pictures=pictures,
            hole=holes,
            settings=settings,
            steps=found.steps,
            refined=found.refined,
            seconds=time.perf_counter() - started,
            notes=notes,
            _generated=found.images,
        )

    def _placed(self, network: PretrainedModel) -> PretrainedModel:
        return network.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    def _prepare(self, images: reading.Pictures, hole: reading.Holes) -> tuple[NDArray, NDArray, tuple[str, ...]]:
        """Pictures uint8 (N, size, size, 3), zero in their holes bool (N, size, size), and notes on what was done."""
        raw = reading.as_picture_list(images)
        holes = reading.as_hole_list(hole, len(raw))
        fitted = [img.fit(picture, h, self.size) for picture, h in zip(raw, holes, strict=True)]
        notes = []
        for number, (picture, (_, h)) in enumerate(zip(raw, fitted, strict=True), start=1):
            if note := img.fit_note(picture, self.size):
                notes.append(f"picture {number}: {note}.")
            if not h.any():
                notes.append(f"picture {number}: the hole is empty, so the picture is returned as it was.")
            if h.all():
                notes.append(f"picture {number}: nothing is left of it, so this is simply a sample of the model.")
        return np.stack([p for p, _ in fitted]), np.stack([h for _, h in fitted]), tuple(notes)

    def _fill(self, pictures: NDArray, holes: NDArray, settings: Settings, callback: Watch | None) -> Filling:
        """Searches from each picture's starting codes, keeps its best one, and refines what that makes."""
        count, starts = holes.shape[0], settings.starts
        searched = np.flatnonzero(holes.any((1, 2)) & ~holes.all((1, 2)))
        begun, proposed = self._starting_codes(pictures, holes, searched, settings)
        codes, score = begun.clone(), torch.zeros(count, starts)  # what is not searched keeps its first code
        refined, steps = np.isin(np.arange(count), searched) & (settings.refine > 0), 0
        rows = np.stack([searched.repeat(starts), np.tile(np.arange(starts), len(searched))])
        for first in range(0, rows.shape[1], settings.batch_size):
            which, start = rows[:, first : first + settings.batch_size]
            origin = begun[which, start], proposed[which, start]
            state = self._search(pictures, holes, which, origin, settings, callback)
            codes[which, start], score[which, start] = state.z.cpu(), state.loss.cpu()
            refined[which] &= state.step == settings.steps
            steps = max(steps, state.step)
        if self.encoder is not None:
            score += settings.anchor * proposed[:, :1] * (codes - begun[:, :1]).square().sum(2)
        latents = codes[torch.arange(count), score.argmin(1)]  # (N, latent_size)
        parts = []
        for part in np.array_split(np.arange(count), -(-count // settings.batch_size)):
            parts.append(self._finish(pictures[part], holes[part], latents[part], refined[part], settings))
        images, context, prior = map(torch.cat, zip(*parts, strict=True))
        return Filling(latents, images, context, prior, refined, steps)

    def _starting_codes(self, pictures, holes, searched, settings: Settings) -> tuple[Tensor, Tensor]:
        """Codes (N, starts, latent_size), and which of them are proposals: bool (N, starts).

        In fast mode the first start of seed 0 is the proposal of the encoder, and z = 0 for a conditional generator,
        all of whose starts are proposals. Other starts are the best of some codes that the seed draws; in the paper's
        mode they are the codes drawn first.
        """
        starts, share = settings.starts, settings.truncation
        codes = torch.stack([self._draw(starts, seed) for seed in settings.seed])  # (N, starts, latent_size)
        proposed = torch.zeros(codes.shape[:2], dtype=torch.bool)
        if self.model.latent_bound is not None:
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
                codes[same, 0] = fast.propose(self.encoder, *batch, share).cpu()
                proposed[same, 0] = True
            if (drawn := starts - first) > 0:
                candidates = self._draw(max(fast.CANDIDATES, drawn), int(seed)).to(self.device)
                candidates = candidates if self.model.latent_bound is None else share * candidates
                kind = {name: getattr(settings, name) for name in ("window", "norm", "precision")}
                codes[same, first:] = fast.best_codes(self.model, *batch, candidates, drawn, **kind).cpu()
        return codes, proposed

    def _draw(self, count: int, seed: int) -> Tensor:
        """Codes (count, latent_size) that depend on the seed alone: not on the batch or the device."""
        return self.model.sample_latents(count, torch.Generator().manual_seed(seed))

    def _search(self, pictures, holes, which, origin, settings: Settings, callback) -> SearchState:
        """Searches from `origin`, codes and which are proposals, row i for the picture of index which[i]."""
        z, proposed = origin

        def report(step: int, state: SearchState) -> bool | None:
            shown = lambda: compose(pictures[which], state.images, holes[which], settings.blend)  # noqa: E731
            return callback(step, Progress(step, settings.steps, which, state, shown))

        batch = self._to_device(pictures[which], holes[which])
        options = {name: getattr(settings, name) for name in ("steps", "window", "norm", "truncation", "precision")}
        options["prior_weight"] = torch.tensor(settings.prior_weight, device=self.device)[which]
        options["callback"] = report if callback else None
        if settings.mode == "paper":
            options["learning_rate"] = settings.learning_rate or LEARNING_RATE
            return search(self.model.bound(*batch), *batch, z.to(self.device), **options)
        options |= {"learning_rate": settings.learning_rate, "proposed": proposed, "anchor": settings.anchor}
        return fast.fast_search(self.model.bound(*batch), *batch, z.to(self.device), **options)

    @torch.no_grad()
    def _finish(self, pictures, holes, latents: Tensor, refined, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
        """Images of the chosen codes, refined where that is wanted, and their losses; in float32, on the CPU."""
        batch, z = self._to_device(pictures, holes), latents.to(self.device)
        images = quick(self.model.bound(*batch), "float32").generate(z)
        if refined.any():
            some = torch.from_numpy(refined).to(self.device)
            kind = {name: getattr(settings, name) for name in ("window", "norm", "precision")}
            images[some] = refine(self.model, batch[0][some], batch[1][some], z[some], steps=settings.refine, **kind)
        return images.cpu(), *self._losses(batch, images, z, settings)

    @torch.no_grad()
    def _losses(self, batch: tuple[Tensor, Tensor], images: Tensor, z: Tensor, settings: Settings) -> list[Tensor]:
        """Context loss and unweighted prior loss of images (N, 3, H, W), by the model's own functions, on the CPU."""
        pictures, hole = batch
        context = losses.context_loss(images, pictures, losses.importance_weights(hole, settings.window), settings.norm)
        return [context.cpu(), self.model.bound(*batch).prior_loss(images, z).float().cpu()]

    def _average(self, pictures, holes, settings: Settings, found: Filling, turned: Filling) -> Filling:
        """The mean of the images for pictures and for their mirror images, flipped back, with its own losses.

        Where nothing is left, two samples have nothing in common: the first stays.
        """
        images = (found.images + turned.images.flip(3)) / 2
        images[holes.all((1, 2))] = found.images[holes.all((1, 2))]
        parts = []
        for part in np.array_split(np.arange(len(pictures)), -(-len(pictures) // settings.batch_size)):
            batch = self._to_device(pictures[part], holes[part])
            z = found.latents[part].to(self.device)
            parts.append(self._losses(batch, images[part].to(self.device), z, settings))
        context, prior = map(torch.cat, zip(*parts, strict=True))
        both = found.refined & turned.refined
        return replace(found, images=images, context_loss=context, prior_loss=prior, refined=both)

    def _to_device(self, pictures: NDArray[np.uint8], holes: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        return img.to_tensor(pictures, self.device), torch.from_numpy(holes).to(self.device)
