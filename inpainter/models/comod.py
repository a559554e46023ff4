"""CoMod: a generator conditioned on the damaged picture, G(z | picture, hole), and a discriminator of fillings.

An encoder extracts features of the damaged picture at every size down to 4x4 pixels. A vector from the encoder and one
from z together form the style that modulates the decoder's convolutions; the encoder's features are added at each
size. D judges the *composed* picture together with the hole. Bound to pictures and their holes, the model is a
`LatentModel` like any other: search, losses and blending work on it unchanged.

Source: Zhao et al., *Large Scale Image Completion via Co-Modulated Generative Adversarial Networks*, ICLR 2021.
"""

from functools import cached_property

import torch
from torch import Tensor

from .base import LatentModel, prior_loss
from .comod_networks import Discriminator, Generator, damaged
from .configs import CoModConfig


class CoMod(LatentModel):
    """Generator and discriminator; `bound` returns a `LatentModel` for given damaged pictures.

    Unbound, it treats everything as missing and so acts as an unconditional generator.
    """

    conditional = True
    latent_bound = 1.0

    def __init__(self, config: CoModConfig = CoModConfig()):
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)

    def bound(self, pictures: Tensor, hole: Tensor) -> "BoundCoMod":
        """Binds the model to pictures (N, 3, H, W) in [-1, 1] with holes bool (N, H, W), True = missing.

        The bound model's codes are (N, latent_size), one row per picture. Pixels under the hole are not read.
        """
        return BoundCoMod(self, pictures, hole)

    def sample_latents(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(count, self.config.latent_size, generator=generator) * 2 - 1

    def generate(self, z: Tensor) -> Tensor:
        return self._all_missing(z).generate(z)

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        return self._all_missing(z).prior_loss(images, z)

    def _all_missing(self, z: Tensor) -> "BoundCoMod":
        size = self.config.image_size
        pictures = torch.zeros((), device=z.device).expand(len(z), 3, size, size)
        return self.bound(pictures, torch.ones((), dtype=torch.bool, device=z.device).expand(len(z), size, size))


class BoundCoMod:
    """A `LatentModel` of fillings of given pictures: row i of the codes fills picture i.

    The encoder runs once, at the first `generate`; after that only the mapping network and the decoder run. The prior
    does not use the encoder.
    """

    latent_bound = CoMod.latent_bound

    def __init__(self, model: CoMod, pictures: Tensor, hole: Tensor):
        self.model, self.config = model, model.config
        self.pictures, self.hole = pictures, hole[:, None]  # (N, 3, H, W), (N, 1, H, W)
        self.sample_latents = model.sample_latents

    @cached_property
    def seen(self) -> tuple[Tensor, list[Tensor]]:
        """The encoder's output, see `Generator.look`; runs only once, so always in float32, even under autocast."""
        with torch.autocast(self.pictures.device.type, enabled=False):
            return self.model.generator.look(damaged(self.pictures, self.hole[:, 0]))

    def generate(self, z: Tensor) -> Tensor:
        """Maps codes (N, latent_size), one per picture, to images (N, 3, H, W), nominally in [-1, 1]."""
        return self.model.generator.fill(z, *self.seen)

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """Returns log(1 - D(composed picture, hole)): (N,). Lower is more realistic."""
        composed = torch.where(self.hole, images, self.pictures)
        logits, _ = self.model.discriminator(damaged(composed, self.hole[:, 0], hide=False))
        return prior_loss(logits)
