"""Generator families, keyed by the name in a model's `config.json`."""

from .base import LatentModel, ModelError
from .comod import CoMod
from .configs import CoModConfig, DCGANConfig, EncoderConfig, VAEConfig
from .dcgan import DCGAN
from .encoder import Encoder
from .vae import VAE

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
