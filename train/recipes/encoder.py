"""Trains an encoder for a model: it proposes a search's starting code from a damaged picture and its hole.

Half of each batch is real pictures, half the generator's own images, whose codes are known. Each gets a hole: one of
the paper's four kinds, or brush strokes. The generator is frozen; the encoder learns to find the code whose image is
the intact picture, above all near the hole, where the context loss weighs most.
"""

import argparse
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpainter import blending, files, hub, masks
from inpainter import images as img
from inpainter.models import LatentModel, ModelError
from inpainter.models.base import CONFIG_NAME, WEIGHTS_NAME
from inpainter.models.encoder import FOLDER, Encoder, EncoderConfig
from inpainter.search import losses

from ..data import holes
from ..looks import sheets
from ..loop import options, run
from ..loop.options import number
from ..loop.trainer import Trainer

logger = logging.getLogger(__name__)

RIM_WEIGHT = 0.5  # of the error at the hole's rim, relative to that of the whole picture
CODE_WEIGHT = 1.0  # of the error in known codes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_loop_arguments(parser, least_batch=2, least_held_out=1)
    parser.set_defaults(images=150_000)
    parser.add_argument("--model", required=True, help="the generator's model folder, Hub id or bundled name")
    parser.add_argument(
        "--learning-rate", type=number(float, 0), default=5e-4, help="initial learning rate (default %(default)s)"
    )
    parser.add_argument(
        "--channels",
        type=number(int, 1),
        nargs="+",
        metavar="WIDTH",
        help="from full size down to 4x4 pixels (default 48, doubled with each halving of the size, at most 384)",
    )
    parser.add_argument(
        "--attach", action="store_true", help="copy the trained encoder into the generator's model folder"
    )


def main(arguments: argparse.Namespace) -> None:
    folder = hub.locate(arguments.model)
    model = hub.load(folder)
    if model.conditional:
        raise ModelError(f"--model {arguments.model}: it sees the picture and needs no encoder; searches ignore one.")
    if arguments.channels is None:
        halvings = int(np.log2(model.config.image_size)) - 2
        arguments.channels = [min(48 * 2**step, 384) for step in range(halvings)]
    config = EncoderConfig(
        image_size=model.config.image_size,
        latent_size=model.config.latent_size,
        latent_bound=model.latent_bound,
        channels=tuple(arguments.channels),
    )
    arguments.generator = hub.checksum(folder)  # a setting, so that a run cannot resume with another generator
    finished = run.train(
        arguments,
        lambda accelerator: EncoderTrainer(
            Encoder(config),
            accelerator,
            learning_rate=arguments.learning_rate,
            beta1=0.9,
            seed=arguments.seed,
            generator=model,
            steps=arguments.images // (arguments.batch_size * accelerator.num_processes),
        ),
        more=("learning_rate", "generator"),
    )
    if arguments.attach and not finished:
        logger.info("%s: keeps its encoder, if any, until this training has reached --images", folder)
    elif arguments.attach:
        attach(arguments.out / "model", folder)
        logger.info("%s: searches with this model now start from the encoder's proposals", folder)


def attach(encoder: Path, folder: Path) -> None:
    """Copies an encoder into the folder of the model that it was trained for."""
    with files.staged_folder(folder / FOLDER) as staged:
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            shutil.copyfile(encoder / name, staged / name)


@dataclass
class EncoderTrainer(Trainer):
    """Trains an encoder for a frozen generator."""

    model: Encoder
    generator: LatentModel | None = None
    steps: int = 1  # total, for the decay of the step size

    def __post_init__(self):
        super().__post_init__()
        with torch.no_grad():  # else the first proposals saturate at the bound, where gradients vanish
            self.model.layers[-1].weight.mul_(0.02)
        self.generator = self.place(self.generator).eval().requires_grad_(False)
        self.optimizer = self.adam(self.model)
        self.parts["optimizer"] = self.optimizer

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Updates the encoder on real images, the second half replaced by the generator's own."""
        for group in self.optimizer.param_groups:  # decays to a fiftieth
            group["lr"] = self.learning_rate * max(0.02, 1 - self.step / self.steps)
        kept = len(real) - len(real) // 2
        codes = self.generator.sample_latents(len(real) // 2, random).to(self.device)
        hole = holes.draw(len(real), self.model.config.image_size, random, holes.DRAWN).to(self.device)
        with self.accelerator.autocast():
            with torch.no_grad():
                intact = torch.cat([real[:kept], self.generator.generate(codes).float()])
            intact = intact.contiguous(memory_format=torch.channels_last)
            z = self.model(intact, hole).float()
            images = self.generator.generate(z).float()
        image_loss, rim_loss = errors(images, intact, hole)
        code_loss = (z[kept:] - codes).square().mean()
        self.update(self.optimizer, image_loss + RIM_WEIGHT * rim_loss + CODE_WEIGHT * code_loss)
        self.step += 1
        return {"image_loss": image_loss.detach(), "rim_loss": rim_loss.detach(), "code_loss": code_loss.detach()}

    @torch.no_grad()
    def look(self, model: Encoder, images: Tensor, held_out: Tensor) -> tuple[Image.Image, dict[str, float]]:
        """Returns a sheet of blended proposals for held-out pictures, and their mean error."""
        held_out = held_out[:64].to(self.device).float() / 127.5 - 1
        shown = held_out[: sheets.SHOWN]
        rows = {"intact": img.to_uint8(shown.cpu())}
        found = []
        for name in masks.NAMES:
            hole = torch.from_numpy(masks.named(name, model.config.image_size)).to(self.device)
            hole = hole.expand(len(held_out), -1, -1)
            proposed = self.generator.generate(model(held_out, hole)).float()
            found.append(float(errors(proposed, held_out, hole)[0]))
            first = (t[: len(shown)].cpu() for t in (held_out, proposed, hole))
            rows[name] = img.to_uint8(blending.compose(*first))
        return sheets.labelled(rows), {"held_out_loss": round(float(np.mean(found)), 4)}

    def summary(self) -> dict[str, Any]:
        return {"holes": list(holes.DRAWN)}


def errors(images: Tensor, intact: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean absolute error of images (N, 3, H, W), over all pixels and importance-weighted at the rim."""
    error = (images - intact).abs()
    weights = losses.importance_weights(hole)  # (N, 1, H, W)
    rim = (weights * error).sum((1, 2, 3)) / (3 * weights.sum((1, 2, 3))).clamp(min=1)
    return error.mean(), rim.mean()
