"""Growing a CoMod model: to twice the size, without changing what it makes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from inpainter.models import CoMod, CoModConfig


@torch.no_grad()
def grown(model: CoMod, encoder: int, decoder: int, discriminator: int) -> CoMod:
    """A model of twice the size that makes, enlarged, what `model` makes; the widths are of the new level.

    The new layers start without effect: those into the old features and into the image are zero.

    Source: as Karras et al., *Progressive Growing of GANs*, ICLR 2018, but with the transition in the pictures, see
    `detailed`.
    """
    old = model.config
    config = CoModConfig(
        image_size=2 * old.image_size,
        latent_size=old.latent_size,
        style_size=old.style_size,
        encoder_channels=(encoder, *old.encoder_channels),
        decoder_channels=(decoder, *old.decoder_channels),
        discriminator_channels=(discriminator, *old.discriminator_channels),
        training=old.training,
    )
    larger = CoMod(config)
    for new, before in (
        (larger.generator.encoder, model.generator.encoder),
        (larger.discriminator.pyramid, model.discriminator.pyramid),
    ):
        new.look[1:].load_state_dict(before.look.state_dict())
        new.down[1:].load_state_dict(before.down.state_dict())
        new.down[0].weight.zero_()
    for name in ("vector", "mapping", "first"):
        getattr(larger.generator, name).load_state_dict(getattr(model.generator, name).state_dict())
    for name in ("up", "skip", "second", "colour"):
        getattr(larger.generator, name)[:-1].load_state_dict(getattr(model.generator, name).state_dict())
    larger.generator.colour[-1].weight.zero_()
    for name in ("last", "hidden", "logit"):
        getattr(larger.discriminator, name).load_state_dict(getattr(model.discriminator, name).state_dict())
    return larger


def detailed(images: Tensor, share: float) -> Tensor:
    """Images (N, 3, H, W) with a share, 0 to 1, of the detail that they lose when reduced to half their size.

    Source: the transition of Karras et al., *Progressive Growing of GANs*, ICLR 2018, section 2.
    """
    coarse = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    return torch.lerp(coarse, images, share)
