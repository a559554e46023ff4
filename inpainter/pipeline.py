"""Inpainter: pictures with holes in, filled pictures out."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import hub
from . import images as img
from .models import Encoder, LatentModel
from .models.base import PretrainedModel
from .results import Progress, Result, compose
from .search import PRIOR_WEIGHT, SearchState, fast, losses, search
from .search import refine as refining
from .settings import check_settings, choose_mode, one_each


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
        self.device = img.device_from_name(device)
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

        Offline, the cached copy of a Hub repository is taken, and failing that the bundled model of the
        same name; `notes` and the log say which.

        Args:
            name: a bundled model such as "dcgan-celeba", a folder, or a Hub id such as "user/dcgan-celeba".
            device: "auto" (a GPU where there is one), "cpu", "cuda", ...
            revision, token, cache_dir, local_files_only: as in huggingface_hub.

        Raises:
            ModelError: when there is no such model, or it is not exactly what it should be.
        """
        device = img.device_from_name(device)
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
        images: img.Pictures,
        hole: img.Holes,
        *,
        mode: str | None = None,
        steps: int | None = None,
        prior_weight: float | Sequence[float] = PRIOR_WEIGHT,
        blend: str = "poisson",
        seed: int | Sequence[int] = 0,
        starts: int = 1,
        learning_rate: float | None = None,
        window: int | None = losses.WINDOW,
        norm: str = "l1",
        anchor: float = fast.ANCHOR,
        truncation: float = 1,
        feature_weight: float = 0,
        refine: int | None = None,
        batch_size: int = 64,
        callback: Callable[[int, Progress], bool | None] | None = None,
    ) -> Result:
        """Fills each picture's hole.

        Args:
            images: PIL image, list of them, or uint8 (H, W, 3) / (N, H, W, 3). Other sizes than the
                model's are cropped to the centre square and resized; `Result.notes` says so.
            hole: bool (H, W) or (N, H, W), or PIL: True or non-zero = missing.
            mode: "fast" (see `inpainter.search.fast`), or "paper" for the method exactly as published: from a random
                code, with a constant step size. None: fast, but the paper's if `steps` or
                `learning_rate` is given, as these are its settings.
            steps: search steps; None: 150 in fast mode, 1500 in the paper's.
            prior_weight: lambda of the prior loss; one for all or one a picture. 0 switches it off.
            blend: "poisson", "overlay" (paste without blending) or "none" (the generated image).
            seed: decides the starting code; one for all or one a picture. In fast mode, 0 is the encoder's
                proposal if the model has one.
            starts: codes to start from a picture; the one that ends with the lowest loss is kept.
            learning_rate: Adam's step size throughout; None: falling to zero in fast mode, 0.03 in
                the paper's.
            window, norm: of the search, see `inpainter.search.search`.
            anchor: weight of the squared distance of a code from the encoder's proposal, in fast searches that
                start there; 0 minimises the paper's loss alone.
            truncation: the share of the box of codes that is searched, see `inpainter.search.box`; 1, as in the
                paper, is all of it. Codes without a bound, such as a VAE's, have no box.
            feature_weight: of the difference between D's features of G(z) and of the picture, in the search, see
                `inpainter.search.losses.feature_loss`; 0, as in the paper, leaves it out. Only for models with a
                discriminator; a step takes several times as long.
            refine: steps that adapt the generator to each picture after the search, see `inpainter.search.refine`;
                0 for none. None: 20 in fast mode, none in the paper's. None are taken when there was no
                search, or the callback ended it.
            batch_size: most rows (pictures times starts) to search at once.
            callback: called as callback(step, progress) before the first step and after each;
                returning True ends the search and keeps what was found.

        Returns:
            A `Result`. A picture with an empty hole comes back as it was; of one with nothing left a
            sample of the model is returned, and `Result.notes` says so.

        Raises:
            TypeError, ValueError: with what was wrong, what was expected and the value seen.
        """
        started = time.perf_counter()
        pictures, holes, notes = self._prepare(images, hole)
        count = len(pictures)
        weights = one_each("prior_weight", prior_weight, count, float)
        seeds = one_each("seed", seed, count, int)
        mode, steps = choose_mode(mode, steps, learning_rate)
        if refine is None:
            refine = refining.STEPS if mode == "fast" and steps and refining.possible(self.model) else 0
        check_settings(
            steps, starts, batch_size, refine, learning_rate, anchor, truncation, feature_weight, weights, blend
        )
        if feature_weight:
            self.model.features(torch.zeros(1, 3, self.size, self.size, device=self.device))  # refuses without

        searched = [i for i in range(count) if holes[i].any() and not holes[i].all()]
        shares = [truncation if i in searched else 1 for i in range(count)]
        codes = torch.stack([self._draw(starts, *each) for each in zip(seeds, shares, strict=True)])  # (N, starts, Z)
        proposed = torch.zeros(count, starts, dtype=torch.bool)
        if mode == "fast":
            self._choose_codes(codes, proposed, pictures, holes, seeds, searched, truncation, window=window, norm=norm)
        total = np.full((count, starts), np.inf)
        total[:, 0] = 0  # what is not searched keeps its first code
        total[searched] = np.inf
        rows = [(i, s) for i in searched for s in range(starts)]
        steps_taken = 0
        settings = {"window": window, "norm": norm, "feature_weight": feature_weight, "truncation": truncation}
        if learning_rate is not None:
            settings["learning_rate"] = learning_rate
        for first in range(0, len(rows), batch_size):
            chunk = np.array(rows[first : first + batch_size])  # (rows, 2)
            if mode == "fast":
                settings |= {"proposed": proposed[chunk[:, 0], chunk[:, 1]], "anchor": anchor}
            state = self._search(mode, pictures, holes, codes, chunk, weights, blend, callback, steps, settings)
            codes[chunk[:, 0], chunk[:, 1]] = state.z.cpu()
            total[chunk[:, 0], chunk[:, 1]] = state.loss.cpu().numpy()
            steps_taken = max(steps_taken, state.step)
            refine = refine if state.step == steps else 0
        latents = codes[np.arange(count), total.argmin(axis=1)]  # (N, latent_size)
        found = self._evaluate(pictures, holes, latents, batch_size, window, norm)
        refine = refine if searched else 0
        if refine:
            self._refine(found, refine, pictures, holes, latents, searched, batch_size, window, norm)
        generated, context_loss, prior_loss = found
        return Result(
            images=compose(pictures, generated, holes, blend),
            generated=img.to_uint8(generated),
            latents=latents.numpy(),
            context_loss=context_loss.numpy(),
            prior_loss=(prior_loss * torch.tensor(weights)).numpy(),
            pictures=pictures,
            hole=holes,
            mode=mode,
            steps=steps_taken,
            seconds=time.perf_counter() - started,
            notes=notes,
            refine=refine,
            _generated=generated,
        )

    def _placed(self, network: PretrainedModel) -> PretrainedModel:
        return network.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    def _prepare(self, images: img.Pictures, hole: img.Holes) -> tuple[NDArray, NDArray, tuple[str, ...]]:
        raw = img.as_picture_list(images)
        holes = img.as_hole_list(hole, len(raw))
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

    def _draw(self, count: int, seed: int, truncation: float) -> Tensor:
        """Codes from the given share of the box, which depend on the seed alone: not on the batch or the device."""
        codes = self.model.sample_latents(count, torch.Generator().manual_seed(seed))
        return codes if self.model.latent_bound is None else truncation * codes

    def _choose_codes(self, codes, proposed, pictures, holes, seeds, searched, truncation, **settings) -> None:
        """Replaces the first codes of the searched pictures, in place, and marks which are proposed.

        The first start of seed 0 is the encoder's proposal, if there is one; all others are the best of some
        codes that the seed draws.
        """
        for seed in sorted({seeds[i] for i in searched}):
            same = [i for i in searched if seeds[i] == seed]
            batch = self._to_device(pictures[same], holes[same])
            first = int(seed == 0 and self.encoder is not None)
            if first:
                codes[same, 0] = fast.propose(self.encoder, *batch, truncation).cpu()
                proposed[same, 0] = True
            if (drawn := codes.shape[1] - first) > 0:
                candidates = self._draw(max(fast.CANDIDATES, drawn), seed, truncation).to(self.device)
                codes[same, first:] = fast.best_codes(self.model, *batch, candidates, drawn, **settings).cpu()

    def _search(self, mode, pictures, holes, codes, chunk, weights, blend, callback, steps, settings) -> SearchState:
        which = chunk[:, 0]

        def report(step: int, state: SearchState) -> bool | None:
            shown = lambda: compose(pictures[which], state.images, holes[which], blend)  # noqa: E731
            return callback(step, Progress(step, steps, which, state, shown))

        return (fast.fast_search if mode == "fast" else search)(
            self.model,
            *self._to_device(pictures[which], holes[which]),
            codes[which, chunk[:, 1]].to(self.device),
            steps=steps,
            prior_weight=torch.tensor([weights[i] for i in which], device=self.device),
            callback=report if callback else None,
            **settings,
        )

    @torch.no_grad()
    def _evaluate(self, pictures, holes, latents, batch_size, window, norm) -> tuple[Tensor, Tensor, Tensor]:
        """G(z) of the chosen codes, their context and unweighted prior losses, by the model's own functions."""
        parts = []
        for first in range(0, len(pictures), batch_size):
            part = slice(first, first + batch_size)
            z = latents[part].to(self.device)
            images = self.model.generate(z).float()
            batch, hole = self._to_device(pictures[part], holes[part])
            context = losses.context_loss(images, batch, losses.importance_weights(hole, window), norm)
            parts.append([t.float().cpu() for t in (images, context, self.model.prior_loss(images, z))])
        return tuple(map(torch.cat, zip(*parts, strict=True)))

    def _refine(self, found, steps, pictures, holes, latents, searched, batch_size, window, norm) -> None:
        """Replaces images and losses of the searched pictures in `found`, in place, by the refined ones."""
        for first in range(0, len(searched), batch_size):
            which = searched[first : first + batch_size]
            refined = refining.refine(
                self.model,
                *self._to_device(pictures[which], holes[which]),
                latents[which].to(self.device),
                steps=steps,
                window=window,
                norm=norm,
            )
            for values, new in zip(found, refined, strict=True):
                values[which] = new.cpu()

    def _to_device(self, pictures: NDArray[np.uint8], holes: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        return img.to_tensor(pictures, self.device), torch.from_numpy(holes).to(self.device)
