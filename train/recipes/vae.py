"""Trains a variational autoencoder on intact images, whose decoder is DCGAN's generator.

The deviation of the decoder's Gaussian is not set but measured, as the error of each batch; so there
is no weight between reconstruction and prior to choose (Rybkin et al., *Simple and Effective VAE
Training with Calibrated Decoders*, ICML 2021). The encoder stays in the checkpoint.
"""

import argparse
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inpainter.models import VAE, VAEConfig
from inpainter.models.dcgan import discriminator

from ..loop import options, run
from ..loop.trainer import GeneratorTrainer, initialise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_arguments(parser)
    parser.set_defaults(learning_rate=1e-3, beta1=0.9)


def main(arguments: argparse.Namespace) -> None:
    config, recipe = options.shape(arguments, VAEConfig), options.recipe(arguments)
    run.train(
        arguments, lambda accelerator: VAETrainer(VAE(config), accelerator, **recipe), options.GENERATOR_SETTINGS
    )


def encoder(config: VAEConfig) -> nn.Sequential:
    """Images (N, 3, image_size, image_size) to mean and log variance of their codes (N, 2 * latent_size).

    DCGAN's discriminator but for its last layer.
    """
    *layers, logit = discriminator(config)
    return nn.Sequential(*layers, nn.Linear(logit.in_features, 2 * config.latent_size))


@dataclass
class VAETrainer(GeneratorTrainer):
    """Trains encoder and decoder together."""

    def __post_init__(self):
        super().__post_init__()
        self.encoder = self.place(initialise(encoder(self.model.config), self.seed))
        self.optimizer = self.adam(self.encoder, self.model.generator)
        self.parts |= {"encoder": self.encoder, "optimizer": self.optimizer}

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """One update of both on the evidence lower bound, its parts in nats per image."""
        noise = torch.randn(len(real), self.model.config.latent_size, generator=random).to(self.device)
        with self.accelerator.autocast():
            mean, log_variance = self.encoder(real).float().chunk(2, dim=1)  # (N, latent_size) each
            images = self.model.generate(mean + noise * (log_variance / 2).exp()).float()
        reconstruction = reconstruction_loss(images, real)
        divergence = kl_divergence(mean, log_variance).mean()
        self.update(self.optimizer, reconstruction + divergence)
        self.follow()
        return {"reconstruction_loss": reconstruction.detach(), "kl_loss": divergence.detach()}


def reconstruction_loss(images: Tensor, real: Tensor) -> Tensor:
    """Negative log likelihood per image of real images (N, 3, H, W), at the variance that makes it least."""
    variance = (images - real).square().mean()
    return real[0].numel() / 2 * ((2 * math.pi * variance).log() + 1)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """From N(mean, variance) (N, latent_size) to the standard normal: (N,)."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
