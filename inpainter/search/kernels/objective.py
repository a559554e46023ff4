"""What a search descends: the losses of codes and their gradient, for several pictures at once.

Two forms of one function: `FoldedObjective` for networks that `folding` knows, `AutogradObjective` for
any `LatentModel`, and for the feature loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import DCGAN, VAE, LatentModel
from .. import losses
from .folding import chain

ROWS_AT_ONCE = 16  # on a CPU; more are hardly faster, and take memory
BYTES_AT_ONCE = 2**31  # on a GPU
LAYERS_BYTES = 10 * 64  # a pixel of the image and row, for the features of all layers in float32


@dataclass(frozen=True)
class Evaluation:
    """The losses of codes (N, latent_size): images G(z) (N, 3, H, W) in [-1, 1], the rest one value a row.

    `prior_loss` is before its factor lambda, `loss` the weighted total, `gradient` (N, latent_size) that
    of the total. All float32, without a graph.
    """

    images: Tensor
    context_loss: Tensor
    prior_loss: Tensor
    loss: Tensor
    gradient: Tensor


class AutogradObjective:
    """Context loss + lambda * prior loss + weighted feature loss, as a model's own functions compute them."""

    def __init__(
        self,
        model: LatentModel,
        pictures: Tensor,
        hole: Tensor,
        prior_weight: float | Tensor,
        window: int | None,
        norm: str,
        feature_weight: float = 0,
    ):
        self.model = model
        self.weights = losses.importance_weights(hole, window)  # (N, 1, H, W)
        self.pictures = pictures.masked_fill(hole[:, None], 0).contiguous(memory_format=torch.channels_last)
        self.prior_weight, self.norm = prior_weight, norm
        self.hole, self.feature_weight = hole[:, None], feature_weight
        if feature_weight:
            with torch.no_grad():
                self.features = model.features(self.pictures)

    def __call__(self, z: Tensor, prior: bool = True) -> Evaluation:
        """Evaluates codes z (N, latent_size).

        With `prior` False, the prior loss and its pull on the images may be those of the last call that
        had it True, where that saves work.
        """
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            # Not z itself: under autocast the first cast of a leaf is cached, and the search would not move.
            images = self.model.generate(z.clone()).float()
            context = losses.context_loss(images, self.pictures, self.weights, self.norm)
            prior_loss = self.model.prior_loss(images, z)
            loss = context + self.prior_weight * prior_loss
            if self.feature_weight:
                features = self.model.features(images.masked_fill(self.hole, 0))
                loss = loss + self.feature_weight * losses.feature_loss(features, self.features)
        (gradient,) = torch.autograd.grad(loss.sum(), z)  # rows do not interact: each gets its own gradient
        return Evaluation(images.detach(), context.detach(), prior_loss.detach(), loss.detach(), gradient)


class FoldedObjective(AutogradObjective):
    """The same for a DCGAN or VAE by way of `folding`, with features of `dtype`."""

    def __init__(self, model: DCGAN | VAE, pictures: Tensor, *arguments, dtype: torch.dtype):
        super().__init__(model, pictures, *arguments)
        self.generator = chain(model.generator, dtype)
        self.discriminator = chain(model.discriminator, dtype) if isinstance(model, DCGAN) else None
        count, _, height, width = pictures.shape
        self.prior_weight = torch.as_tensor(self.prior_weight, device=pictures.device).expand(count)
        self.prior_loss = pictures.new_zeros(count)
        self.pull = pictures.new_zeros(count, height, width, 3)  # of the prior on the images: its gradient
        self.at_once = ROWS_AT_ONCE
        if pictures.device.type == "cuda":
            self.at_once = max(1, BYTES_AT_ONCE // (height * width * LAYERS_BYTES))

    @torch.no_grad()
    def __call__(self, z: Tensor, prior: bool = True) -> Evaluation:
        parts = self._parts(z, prior)
        images, context, gradient = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
        prior_loss = self.prior_loss.clone()
        if self.discriminator is None:
            prior_loss, pull = self._prior_of_code(images, z)
            gradient = gradient + pull
        return Evaluation(images, context, prior_loss, context + self.prior_weight * prior_loss, gradient)

    def _parts(self, z: Tensor, prior: bool) -> list[tuple[Tensor, Tensor, Tensor]]:
        """As many rows at once as there is memory for: what others use of a GPU changes."""
        while True:
            try:
                starts = range(0, len(z), self.at_once)
                return [self._evaluate(slice(a, a + self.at_once), z[a : a + self.at_once], prior) for a in starts]
            except torch.OutOfMemoryError:
                if self.at_once == 1:
                    raise
                self.at_once = min(self.at_once, len(z)) // 2 or 1

    def _evaluate(self, part: slice, z: Tensor, prior: bool) -> tuple[Tensor, Tensor, Tensor]:
        values = self.generator.forward(z[:, None, None])
        images = values[-1].permute(0, 3, 1, 2).float()
        difference = (images, self.pictures[part], self.weights[part], self.norm)
        if prior and self.discriminator is not None:
            self._judge(part, values[-1])
        gradient = losses.context_gradient(*difference).permute(0, 2, 3, 1) + self.pull[part]
        gradient = self.generator.backward(gradient, values)
        return images, losses.context_loss(*difference), gradient[:, 0, 0].float()

    def _judge(self, part: slice, images: Tensor) -> None:
        """Brings the prior loss of images (N, H, W, 3) and its gradient up to date, in place."""
        values = self.discriminator.forward(images)
        logits = values[-1].float()  # (N, 1, 1, 1)
        self.prior_loss[part] = losses.prior_loss(logits).flatten()
        slope = -self.prior_weight[part, None, None, None] * logits.sigmoid()
        self.pull[part] = self.discriminator.backward(slope, values).float()

    def _prior_of_code(self, images: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """A prior that does not look at the images: its loss, and the gradient of its weighted loss."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            prior_loss = self.model.prior_loss(images, z)
            total = (self.prior_weight * prior_loss).sum()
        (gradient,) = torch.autograd.grad(total, z)
        return prior_loss.detach(), gradient


def can_fold(model: LatentModel, device: torch.device) -> bool:
    """Whether `folding` knows the model, and the caller's autocast does not ask for another precision."""
    kind = device.type
    return type(model) in (DCGAN, VAE) and kind in ("cpu", "cuda") and not torch.is_autocast_enabled(kind)


def quick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies in it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu":  # processors without the instructions emulate them, slowly
        has_them = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        return torch.bfloat16 if has_them else torch.float32
    return torch.float32


@torch.no_grad()
def generate(model: LatentModel, z: Tensor) -> Tensor:
    """Images G(z) of codes (N, latent_size), float32 (N, 3, H, W), folded with quick features if possible."""
    if can_fold(model, z.device):
        return chain(model.generator, quick_dtype(z.device)).forward(z[:, None, None])[-1].permute(0, 3, 1, 2).float()
    return model.generate(z).float()


def objective(
    model: LatentModel,
    pictures: Tensor,
    hole: Tensor,
    prior_weight: float | Tensor,
    window: int | None,
    norm: str,
    feature_weight: float = 0,
) -> AutogradObjective:
    """The fastest form there is for a model: folded with quick features, or else its own functions.

    Under the caller's autocast the model's own functions run, in the precision that was asked for.

    Args:
        model: in evaluation mode, without parameter gradients.
        pictures: float32 (N, 3, H, W) in [-1, 1]; what is under the hole is not read.
        hole: bool (N, H, W), True = missing.
        prior_weight: lambda, one for all or one per row (N,).
        window, norm: as in `losses.importance_weights` and `losses.context_loss`.
        feature_weight: of `losses.feature_loss` between G(z) and the pictures, both grey in the hole; other than 0,
            the model's own functions run.
    """
    arguments = (model, pictures, hole, prior_weight, window, norm)
    if not feature_weight and can_fold(model, pictures.device):
        return FoldedObjective(*arguments, dtype=quick_dtype(pictures.device))
    return AutogradObjective(*arguments, feature_weight)
