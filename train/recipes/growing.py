"""The CoMod that a training starts from: new, or a trained one, also extended to twice the size, or to see more."""

import argparse
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from inpainter import hub
from inpainter.models import CoMod, CoModConfig, ModelError
from inpainter.models.comod_networks import CHANNELS

from ..looks.features import build, read_weights

NETWORKS = ("encoder_channels", "decoder_channels", "discriminator_channels")


def starting_model(arguments: argparse.Namespace) -> CoMod:
    """Returns a new model of the given widths, drawn from torch's current seed; or a trained one, as is or extended.

    Args:
        arguments: with `start`, `mirrored`, `backbone`, `attention`, and the widths under the names in `NETWORKS`.
    """
    shape = {name: tuple(value) for name in NETWORKS if (value := getattr(arguments, name))}
    if arguments.start:
        before = hub.load(arguments.start)
        if not isinstance(before, CoMod):
            raise ModelError(f"--start {arguments.start}: its family is {before.config.family!r}, expected 'comod'.")
    else:
        size = 2 ** (len(next(iter(shape.values()))) + 1) if shape else 64
        before = CoMod(CoModConfig(image_size=size, **shape))
    if arguments.mirrored and not before.config.mirrored:
        before = mirrored(before)
    if arguments.backbone and not before.config.backbone:
        before = supported(before)
    if arguments.attention and not before.config.attention:
        before = attentive(before)
    if all(widths == getattr(before.config, name) for name, widths in shape.items()):
        return before
    if [len(widths) for widths in shape.values()] != [1] * len(NETWORKS):
        raise ModelError("to grow the model of --start, give one width, that of the new size, for each network.")
    return grown(before, *(widths[0] for widths in shape.values()))


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
        new.attention.load_state_dict(before.attention.state_dict())
        new.down[0].weight.zero_()
    for name in ("vector", "mapping", "first", "layout", *(["backbone"] if old.backbone else [])):
        getattr(larger.generator, name).load_state_dict(getattr(model.generator, name).state_dict())
    for name in ("up", "skip", "second", "colour"):
        getattr(larger.generator, name)[:-1].load_state_dict(getattr(model.generator, name).state_dict())
    larger.generator.colour[-1].weight.zero_()
    for name in ("last", "hidden", "logit"):
        getattr(larger.discriminator, name).load_state_dict(getattr(model.discriminator, name).state_dict())
    return larger


def mirrored(model: CoMod) -> CoMod:
    """Returns a model whose encoder also sees the mirror image, and whose output is that of `model`, which does not."""
    return widened(model, CHANNELS, mirrored=True)


def supported(model: CoMod) -> CoMod:
    """Returns a model whose encoder also sees a pretrained network's features, and whose output is that of `model`."""
    wider = widened(model, CHANNELS * (1 + model.config.mirrored), backbone=True)
    weights = build(read_weights()).state_dict()
    wider.generator.backbone.load_state_dict({name: weights[name] for name in wider.generator.backbone.state_dict()})
    return wider


def attentive(model: CoMod) -> CoMod:
    """Returns a model whose encoder also has attention, and whose output is that of `model`, which has none."""
    wider = CoMod(replace(model.config, attention=True))
    wider.load_state_dict(wider.state_dict() | model.state_dict())
    return wider


@torch.no_grad()
def widened(model: CoMod, at: int, **changes: bool) -> CoMod:
    """Returns a changed model whose encoder takes more channels, from index `at` on; their weights start at zero."""
    wider = CoMod(replace(model.config, **changes))
    weights = wider.state_dict() | model.state_dict()
    layers = zip(model.generator.encoder.look, wider.generator.encoder.look, strict=True)
    for index, (old, new) in enumerate(layers):
        weight = torch.zeros_like(new.weight)
        more = weight.shape[1] - old.weight.shape[1]
        kept = [channel for channel in range(weight.shape[1]) if not at <= channel < at + more]
        weight[:, kept] = old.weight * (old.scale / new.scale)  # the scale falls with the number of inputs
        weights[f"generator.encoder.look.{index}.weight"] = weight
    wider.load_state_dict(weights)
    return wider


def detailed(images: Tensor, share: float) -> Tensor:
    """Returns images (N, 3, H, W) with a share, 0 to 1, of the detail lost by halving their resolution.

    Source: the transition of Karras et al., *Progressive Growing of GANs*, ICLR 2018, section 2.
    """
    coarse = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    return torch.lerp(coarse, images, share)
