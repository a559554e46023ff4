"""Trains a context encoder, the network of the paper's comparison, to fill holes of all four kinds.

The recipe is Pathak et al.'s (CVPR 2016): squared error in the hole, weight 0.999, and a discriminator of
whole completed pictures, weight 0.001; Adam, ten times the step size for the network that fills. The
run stops at `--images` and can be stopped at any moment: `--resume` continues from the last checkpoint.
"""

import argparse
import dataclasses
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from inpainter import masks
from inpainter.baselines import context_encoder
from inpainter.baselines.context_encoder import ContextEncoder, ContextEncoderConfig
from inpainter.images import device_from_name
from inpainter.models.dcgan import discriminator

from . import checkpoints, figures
from .batches import batch_indices, prepare, step_generator
from .data import load_images, split
from .options import add_run_arguments, number
from .runs import stopping_signals
from .trainer import initialise

logger = logging.getLogger(__name__)

ADVERSARIAL_WEIGHT = 0.001
SPEED_UP = 10  # of the step size of the network that fills, relative to the discriminator's
SETTINGS = ("seed", "batch_size", "learning_rate", "channels", "bottleneck", "no_flips")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--held-out", type=number(int, 1), default=500, help="last images of the data, to look at")
    parser.add_argument("--batch-size", type=number(int, 2), default=64)
    parser.add_argument("--learning-rate", type=number(float, 0), default=2e-4, help="of D (default %(default)s)")
    parser.add_argument("--channels", type=number(int, 1), nargs="+", default=[512, 256, 128, 64], metavar="WIDTH")
    parser.add_argument("--bottleneck", type=number(int, 1), default=1000, help="size of the code")


@dataclass
class Trainer(checkpoints.Checkpointed):
    """All the state of a run: what a checkpoint holds, and the one step that changes it."""

    model: ContextEncoder
    learning_rate: float
    seed: int
    device: torch.device
    step: int = 0
    seconds: float = 0.0  # of training, over all resumed parts

    def __post_init__(self):
        self.discriminator = discriminator(self.model.config.networks)
        for seed, network in ((self.seed, self.model), (self.seed + 1, self.discriminator)):
            initialise(network, seed).to(self.device, memory_format=torch.channels_last).train()
        adam = {"betas": (0.5, 0.999), "fused": True}
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=SPEED_UP * self.learning_rate, **adam)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=self.learning_rate, **adam)
        self.parts = {
            "model": self.model,
            "discriminator": self.discriminator,
            "optimizer": self.optimizer,
            "d_optimizer": self.d_optimizer,
        }

    def train_step(self, real: Tensor, hole: Tensor) -> dict[str, float]:
        """One update of D, then of the network, on real images (N, 3, H, W) in [-1, 1] and their holes (N, H, W)."""
        D = self.discriminator
        with torch.autocast(self.device.type, torch.bfloat16):
            made = self.model(real, hole)
            real_logits, made_logits = D(real).float(), D(made.detach()).float()
        d_loss = F.softplus(-real_logits).mean() + F.softplus(made_logits).mean()
        self.d_optimizer.zero_grad(set_to_none=True)
        d_loss.backward()
        self.d_optimizer.step()

        D.requires_grad_(False)  # its gradients are not needed for the network's step
        with torch.autocast(self.device.type, torch.bfloat16):
            fooled = F.softplus(-D(made).float()).mean()
        error = hole_error(made.float(), real, hole)
        loss = (1 - ADVERSARIAL_WEIGHT) * error + ADVERSARIAL_WEIGHT * fooled
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        D.requires_grad_(True)
        self.step += 1
        return {"hole_error": error.item(), "d_loss": d_loss.item(), "g_loss": fooled.item()}


def hole_error(made: Tensor, real: Tensor, hole: Tensor) -> Tensor:
    """Mean squared error over the missing pixels of each picture, mean over the pictures (eq. 1, normalised)."""
    squared = (made - real).square().mean(1) * hole  # (N, H, W)
    return (squared.sum((1, 2)) / hole.sum((1, 2)).clamp(min=1)).mean()


def draw_holes(count: int, size: int, random: torch.Generator) -> Tensor:
    """Holes of the paper's four kinds, drawn anew for every picture: bool (count, size, size)."""
    kinds = torch.randint(len(masks.NAMES), (count,), generator=random).tolist()
    seeds = torch.randint(2**31, (count,), generator=random).tolist()
    holes = [
        masks.half(size, masks.SIDES[seed % 4])
        if masks.NAMES[kind] == "half"
        else masks.named(masks.NAMES[kind], size, seed)
        for kind, seed in zip(kinds, seeds, strict=True)
    ]
    return torch.from_numpy(np.stack(holes))


def main(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / checkpoints.CHECKPOINT_NAME
    if checkpoint.exists() and not arguments.resume:
        raise ValueError(f"{checkpoint} exists: add --resume to continue it, or choose another --out.")
    size = 4 * 2 ** len(arguments.channels)
    config = ContextEncoderConfig(image_size=size, bottleneck=arguments.bottleneck, channels=tuple(arguments.channels))
    images, held_out = split(load_images(arguments.data, size), arguments.held_out)
    if len(images) < arguments.batch_size:
        raise ValueError(f"{len(images)} training images are fewer than one batch of {arguments.batch_size}.")
    device = device_from_name(arguments.device)
    trainer = Trainer(ContextEncoder(config), arguments.learning_rate, arguments.seed, device)
    settings = {name: getattr(arguments, name) for name in SETTINGS} | {"training_images": len(images)}
    if checkpoint.exists():
        trainer.load_state_dict(checkpoints.load(checkpoint, settings, device))
        logger.info("resumed at step %d", trainer.step)

    losses: list[dict[str, float]] = []
    mark = time.monotonic()

    def save() -> None:
        nonlocal mark
        trainer.seconds += time.monotonic() - mark
        mark = time.monotonic()
        record = {
            "step": trainer.step,
            "images": trainer.step * arguments.batch_size,
            "seconds": round(trainer.seconds),
            **{name: round(float(np.mean([row[name] for row in losses])), 5) for name in (losses[0] if losses else ())},
        }
        if not np.isfinite(list(record.values())).all():  # before the checkpoint: broken weights must not replace it
            raise ValueError(f"the loss became NaN or infinite by step {trainer.step}; try a lower --learning-rate.")
        losses.clear()
        checkpoints.save(checkpoint, {**trainer.state_dict(), "settings": settings})
        with open(out / "metrics.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        export(trainer.model, out, held_out[: figures.SHOWN], {**settings, **record, "data": Path(arguments.data).name})

    steps = int(arguments.images // arguments.batch_size)
    total, before = steps * arguments.batch_size, trainer.step * arguments.batch_size
    with tqdm(total=total, initial=before, unit="img") as bar, stopping_signals() as signals:
        while trainer.step < steps and not signals:
            random = step_generator(arguments.seed, trainer.step)
            indices = batch_indices(trainer.step, arguments.batch_size, len(images), arguments.seed)
            real = prepare(images[indices], not arguments.no_flips, random, device)
            losses.append(trainer.train_step(real, draw_holes(len(real), size, random).to(device)))
            bar.update(len(real))
            if time.monotonic() - mark > arguments.every:
                save()
        if losses or not checkpoint.exists():
            save()
    if signals:
        logger.info("stopped at step %d, all saved; --resume goes on from here", trainer.step)


def export(model: ContextEncoder, out: Path, held_out: Tensor, training: dict) -> None:
    """Writes the model folder, and pictures that it did not train on with holes of each kind filled."""
    model.config = dataclasses.replace(model.config, training=training)
    (out / "model").mkdir(exist_ok=True)
    model._save_pretrained(out / "model")  # without the placeholder card that the public method would add
    images = np.ascontiguousarray(held_out.permute(0, 2, 3, 1).numpy())
    model.eval()
    filled = {
        name: context_encoder.fill(images, masks.named(name, model.config.image_size), model=model)
        for name in masks.NAMES
    }
    model.train()
    figures.labelled({"intact": images, **filled}).save(out / "model" / "samples.png")
