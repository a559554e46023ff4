"""Generator families, by the name that a model's `config.json` gives."""

from .base import LatentModel, ModelError
from .dcgan import DCGAN, DCGANConfig
from .vae import VAE, VAEConfig

FAMILIES: dict[str, type[LatentModel]] = {"dcgan": DCGAN, "vae": VAE}

__all__ = ["DCGAN", "FAMILIES", "VAE", "DCGANConfig", "LatentModel", "ModelError", "VAEConfig"]
