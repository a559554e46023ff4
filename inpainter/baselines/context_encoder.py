"""Context encoder (Pathak et al., CVPR 2016): a network trained to fill holes.

An encoder maps the damaged picture to a code, and a decoder maps the code to an intact picture. Train one with
`python -m train context-encoder`. Unlike the latent search, it must be trained on the kind of holes it is to fill.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import images as img
from ..hub.finding import locate, read_config
from ..models import DCGANConfig, ModelError
from ..models.base import PretrainedModel
from ..models.dcgan import discriminator, generator
from .common import complete

CHUNK = 256  # pictures at once


@dataclass(frozen=True)
class ContextEncoderConfig:
    """Configuration and training record of a context encoder. Raises `ModelError` if it cannot be built."""

    family: str = "context-encoder"
    image_size: int = 64  # pixels; 4 doubled once per entry of `channels`
    bottleneck: int = 1000  # units between encoder and decoder; the paper has 4000 for 128 pixels
    channels: tuple[int, ...] = (512, 256, 128, 64)  # of the decoder, from 4x4 up; the encoder mirrors them
    training: dict = field(default_factory=dict)  # data, steps, hours, ...

    def __post_init__(self):
        if self.family != "context-encoder":
            raise ModelError(f"config: family is {self.family!r:.80}, expected 'context-encoder'.")
        object.__setattr__(self, "channels", self.networks.channels)

    @property
    def networks(self) -> DCGANConfig:
        """Configuration of the DCGAN whose D (except its last layer) and G serve as encoder and decoder."""
        return DCGANConfig(
            image_size=self.image_size, latent_size=self.bottleneck, channels=self.channels, training=self.training
        )


class ContextEncoder(PretrainedModel):
    """Encoder and decoder: stride-2 convolutions with batch norm (Pathak et al., section 3.1).

    Missing pixels are mid-grey (the mean colour in the paper); the network does not see the mask.
    """

    def __init__(self, config: ContextEncoderConfig = ContextEncoderConfig()):
        super().__init__()
        self.config = config
        *convolutions, one_logit = discriminator(config.networks)
        self.encoder = nn.Sequential(
            *convolutions,
            nn.Linear(one_logit.in_features, config.bottleneck, bias=False),
            nn.BatchNorm1d(config.bottleneck),
            nn.LeakyReLU(0.2),
        )
        self.decoder = generator(config.networks)

    @classmethod
    def load(cls, name: str | Path, device: str | torch.device = "cpu") -> Self:
        """Loads a model folder or Hub repository, in evaluation mode.

        Raises:
            ModelError: if there is none, or its files are not valid.
        """
        folder = locate(name)
        family = read_config(folder).get("family")
        if family != "context-encoder":
            raise ModelError(f"{folder}: family is {family!r:.80}, expected 'context-encoder'.")
        return cls.from_pretrained(folder).to(device)

    def forward(self, pictures: Tensor, hole: Tensor) -> Tensor:
        """Predicts intact pictures from damaged ones.

        Args:
            pictures: float (N, 3, H, W) in [-1, 1]; pixels under the hole are not read.
            hole: bool (N, H, W), True = missing.

        Returns:
            float (N, 3, H, W) in [-1, 1], the whole pictures.
        """
        return self.decoder(self.encoder(pictures.masked_fill(hole[:, None], 0)))


@torch.no_grad()
def fill(images: NDArray[np.uint8], hole: NDArray[np.bool_], *, model: ContextEncoder) -> NDArray[np.uint8]:
    """Fills holes with the network's prediction.

    Args:
        model: in evaluation mode, for pictures of this size.
        Other arguments, result and errors as for `complete`.
    """
    size = model.config.image_size
    if np.shape(images)[-3:-1] != (size, size):
        raise ValueError(f"this context encoder fills pictures of {size}x{size}, got {np.shape(images)[-3:-1]}.")
    device = next(model.parameters()).device

    def predict(pictures: NDArray, holes: NDArray) -> NDArray:
        parts = [slice(first, first + CHUNK) for first in range(0, len(pictures), CHUNK)]
        made = [model(img.to_tensor(pictures[p], device), torch.from_numpy(holes[p]).to(device)) for p in parts]
        return np.concatenate([img.to_uint8(images) for images in made])

    return complete(images, hole, predict)
