"""VAE: DCGAN's generator as the decoder of a variational autoencoder, with a Gaussian prior (Fig. 2)."""

import math

import torch
from torch import Tensor

from .base import LatentModel
from .configs import VAEConfig
from .dcgan import generator


class VAE(LatentModel):
    """The decoder, with DCGAN's tensor names. The search needs no encoder, so none is published.

    Source: Kingma and Welling, *Auto-Encoding Variational Bayes*, ICLR 2014.
    """

    def __init__(self, config: VAEConfig = VAEConfig()):
        super().__init__()
        self.config = config
        self.generator = generator(config)

    def sample_latents(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(count, self.config.latent_size, generator=generator)

    def generate(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """Returns the negative log density of the code under the Gaussian prior, in nats."""
        return (z.square().sum(1) + self.config.latent_size * math.log(2 * math.pi)) / 2
