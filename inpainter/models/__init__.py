"""Generator families, by the name that a model's `config.json` gives."""

from .base import LatentModel, ModelError
from .dcgan import DCGAN, DCGANConfig

FAMILIES: dict[str, type[LatentModel]] = {"dcgan": DCGAN}

__all__ = ["DCGAN", "FAMILIES", "DCGANConfig", "LatentModel", "ModelError"]
