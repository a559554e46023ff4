"""Semantic image inpainting by latent search (Yeh et al., CVPR 2017).

>>> from inpainter import Inpainter, masks
>>> model = Inpainter.from_pretrained("hub_models/dcgan-celeba")
>>> result = model(picture, masks.center(64))
>>> result.images  # uint8 (N, 64, 64, 3)
"""

from . import masks, metrics
from .models import ModelError
from .pipeline import Inpainter
from .results import Progress, Result
from .settings import Settings

__all__ = ["Inpainter", "ModelError", "Progress", "Result", "Settings", "masks", "metrics"]
__version__ = "0.1.0"
