"""Generator families, keyed by the name in a model's `config.json`."""

from .base import LatentModel, ModelError
from .comod import CoMod, CoModConfig
from .dcgan import DCGAN, DCGANConfig
from .encoder import Encoder, EncoderConfig
from .vae import VAE, VAEConfig

FAMILIES: dict[str, type[LatentModel]] = {"comod": CoMod, "dcgan": DCGAN, "vae": VAE}

__all__ = [
    "DCGAN",
    "FAMILIES",
    "VAE",
    "CoMod",
    "CoModConfig",
    "DCGANConfig",
    "Encoder",
    "EncoderConfig",
    "LatentModel",
    "ModelError",
    "VAEConfig",
]
