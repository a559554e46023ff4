"""Extends a trained CoMod model without changing its output: to twice the size, or to see mirror images."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from inpainter.models import CoMod


@torch.no_grad()
def grown(model: CoMod, encoder: int, decoder: int, discriminator: int) -> CoMod:
    """Returns a model of twice the size whose output is that of `model`, enlarged; the widths are of the new level.

    The new layers start without effect: those that feed the old features and the image are zero.

    Source: Karras et al., *Progressive Growing of GANs*, ICLR 2018, but with the transition in the pictures, see
    `detailed`.
    """
    old = model.config
    config = replace(
        old,
        image_size=2 * old.image_size,
        encoder_channels=(encoder, *old.encoder_channels),
        decoder_channels=(decoder, *old.decoder_channels),
        discriminator_channels=(discriminator, *old.discriminator_channels),
    )
    larger = CoMod(config)
    for new, before in (
        (larger.generator.encoder, model.generator.encoder),
        (larger.discriminator.pyramid, model.discriminator.pyramid),
    ):
        new.look[1:].load_state_dict(before.look.state_dict())
        new.down[1:].load_state_dict(before.down.state_dict())
        new.down[0].weight.zero_()
    for name in ("vector", "mapping", "first", "layout"):
        getattr(larger.generator, name).load_state_dict(getattr(model.generator, name).state_dict())
    for name in ("up", "skip", "second", "colour"):
        getattr(larger.generator, name)[:-1].load_state_dict(getattr(model.generator, name).state_dict())
    larger.generator.colour[-1].weight.zero_()
    for name in ("last", "hidden", "logit"):
        getattr(larger.discriminator, name).load_state_dict(getattr(model.discriminator, name).state_dict())
    return larger


@torch.no_grad()
def mirrored(model: CoMod) -> CoMod:
    """Returns a model whose encoder also sees the mirror image, and whose output is that of `model`, which does not.

    The weights for the mirror image start at zero.
    """
    wider = CoMod(replace(model.config, mirrored=True))
    weights = model.state_dict()
    layers = zip(model.generator.encoder.look, wider.generator.encoder.look, strict=True)
    for index, (old, new) in enumerate(layers):
        key = f"generator.encoder.look.{index}.weight"
        weight = old.weight * (old.scale / new.scale)  # the scale falls with the number of inputs
        weights[key] = torch.cat([weight, torch.zeros_like(weight)], 1)
    wider.load_state_dict(weights)
    return wider


def detailed(images: Tensor, share: float) -> Tensor:
    """Returns images (N, 3, H, W) with a share, 0 to 1, of the detail lost by halving their resolution.

    Source: the transition of Karras et al., *Progressive Growing of GANs*, ICLR 2018, section 2.
    """
    coarse = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    return torch.lerp(coarse, images, share)
