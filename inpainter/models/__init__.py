"""Generator families, by the name that a model's `config.json` gives."""

from .base import LatentModel, ModelError
from .dcgan import DCGAN, DCGANConfig
from .encoder import Encoder, EncoderConfig
from .vae import VAE, VAEConfig

FAMILIES: dict[str, type[LatentModel]] = {"dcgan": DCGAN, "vae": VAE}

__all__ = [
    "DCGAN",
    "FAMILIES",
    "VAE",
    "DCGANConfig",
    "Encoder",
    "EncoderConfig",
    "LatentModel",
    "ModelError",
    "VAEConfig",
]
