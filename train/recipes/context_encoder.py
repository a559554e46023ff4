"""Trains a context encoder, the network that the paper compares with, to fill all four kinds of holes.

The recipe follows Pathak et al. (CVPR 2016): squared error in the hole with weight 0.999, and a discriminator of whole
completed pictures with weight 0.001; Adam, with ten times the step size for the filling network. The run ends at
`--images` and can be interrupted at any time: `--resume` continues from the last checkpoint.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from inpainter import masks
from inpainter.baselines import context_encoder
from inpainter.baselines.context_encoder import ContextEncoder, ContextEncoderConfig
from inpainter.models.dcgan import discriminator

from ..data import holes
from ..looks import sheets
from ..loop import options, run
from ..loop.options import number
from ..loop.trainer import Trainer, initialise

ADVERSARIAL_WEIGHT = 0.001
SPEED_UP = 10  # step size of the filling network relative to the discriminator's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # The code's batch norm needs two pictures, and `look` needs held-out ones.
    options.add_loop_arguments(parser, least_batch=2, least_held_out=1)
    parser.add_argument("--learning-rate", type=number(float, 0), default=2e-4, help="for D (default %(default)s)")
    parser.add_argument("--channels", type=number(int, 1), nargs="+", default=[512, 256, 128, 64], metavar="WIDTH")
    parser.add_argument("--bottleneck", type=number(int, 1), default=1000, help="size of the code")


def main(arguments: argparse.Namespace) -> None:
    channels = tuple(arguments.channels)
    config = ContextEncoderConfig(image_size=4 * 2 ** len(channels), bottleneck=arguments.bottleneck, channels=channels)
    recipe = {name: getattr(arguments, name) for name in ("learning_rate", "seed")}
    run.train(
        arguments,
        lambda accelerator: ContextEncoderTrainer(ContextEncoder(config), accelerator, **recipe),
        more=("bottleneck",),
    )


@dataclass
class ContextEncoderTrainer(Trainer):
    """Trains the filling network, and a discriminator of its pictures."""

    model: ContextEncoder

    def __post_init__(self):
        super().__post_init__()
        self.discriminator = self.place(initialise(discriminator(self.model.config.networks), self.seed + 1))
        self.optimizer = self.adam(self.model, learning_rate=SPEED_UP * self.learning_rate)
        self.d_optimizer = self.adam(self.discriminator)
        self.parts |= {
            "discriminator": self.discriminator,
            "optimizer": self.optimizer,
            "d_optimizer": self.d_optimizer,
        }

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Updates D, then the network, with a different hole for each picture."""
        D = self.discriminator
        hole = holes.draw(len(real), self.model.config.image_size, random).to(self.device)
        with self.accelerator.autocast():
            made = self.model(real, hole)
            real_logits, made_logits = D(real).float(), D(made.detach()).float()
        d_loss = F.softplus(-real_logits).mean() + F.softplus(made_logits).mean()
        self.update(self.d_optimizer, d_loss)

        D.requires_grad_(False)  # its gradients are not needed for the network's step
        with self.accelerator.autocast():
            fooled = F.softplus(-D(made).float()).mean()
        error = hole_error(made.float(), real, hole)
        self.update(self.optimizer, (1 - ADVERSARIAL_WEIGHT) * error + ADVERSARIAL_WEIGHT * fooled)
        D.requires_grad_(True)
        self.step += 1
        return {"hole_loss": error.detach(), "d_loss": d_loss.detach(), "g_loss": fooled.detach()}

    def look(self, model: ContextEncoder, images: Tensor, held_out: Tensor) -> tuple[Image.Image, dict[str, float]]:
        """Returns a sheet of held-out pictures filled under each kind of mask."""
        intact = np.ascontiguousarray(held_out[: sheets.SHOWN].permute(0, 2, 3, 1).numpy())
        size = model.config.image_size
        filled = {name: context_encoder.fill(intact, masks.named(name, size), model=model) for name in masks.NAMES}
        return sheets.labelled({"intact": intact, **filled}), {}


def hole_error(made: Tensor, real: Tensor, hole: Tensor) -> Tensor:
    """Mean squared error over each picture's missing pixels, averaged over pictures (eq. 1, normalised)."""
    squared = (made - real).square().mean(1) * hole  # (N, H, W)
    return (squared.sum((1, 2)) / hole.sum((1, 2)).clamp(min=1)).mean()
