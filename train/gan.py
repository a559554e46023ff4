"""Trains a DCGAN on intact images; no hole is needed.

The recipe is DCGAN's (Radford et al. 2016): batch norm in G and D, Adam 2e-4 with beta1 0.5, the
non-saturating loss. An exponential moving average of G is what gets published. The run stops at
`--images` and can be stopped at any moment: `--resume` continues from the last checkpoint.
"""

import argparse
import copy
import json
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from inpainter import hub
from inpainter.images import device_from_name
from inpainter.models import DCGAN, DCGANConfig

from .augment import CHANGES, diff_augment
from .data import load_images, split

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.pt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help="folder or zip of images")
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoint, log, samples and model")
    parser.add_argument("--images", type=float, default=600_000, help="images to train on in all (default %(default)s)")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument("--no-flips", action="store_true", help="no horizontal flips (digits, text)")
    parser.add_argument("--held-out", type=int, default=500, help="last images of the data, kept for validation")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--ema", type=float, default=0.999, help="decay per step of the average of G")
    parser.add_argument(
        "--augment", nargs="*", default=[], choices=CHANGES, help="what D's images go through; helps with few pictures"
    )
    parser.add_argument("--every", type=float, default=240, help="seconds between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")


@dataclass
class Trainer:
    """All the state of a run: what a checkpoint holds, and the one step that changes it."""

    model: DCGAN
    learning_rate: float
    ema_decay: float
    seed: int
    device: torch.device
    augment: tuple[str, ...] = ()
    step: int = 0
    seconds: float = 0.0  # of training, over all resumed parts
    average: torch.nn.Module = field(init=False)

    def __post_init__(self):
        self.model.to(self.device, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.model.generator).requires_grad_(False)
        adam = {"lr": self.learning_rate, "betas": (0.5, 0.999), "fused": True}
        self.g_optimizer = torch.optim.Adam(self.model.generator.parameters(), **adam)
        self.d_optimizer = torch.optim.Adam(self.model.discriminator.parameters(), **adam)
        self.random = torch.Generator().manual_seed(self.seed)  # latents, flips and augmentation

    def train_step(self, real: Tensor) -> dict[str, float]:
        """One update of D, then of G, on real images (N, 3, H, W) in [-1, 1]."""
        G, D = self.model.generator, self.model.discriminator
        z = self.model.sample_latents(len(real), self.random).to(self.device)

        with self._autocast():
            fake = G(z)
            real_logits, fake_logits = D(self._seen(real)).float(), D(self._seen(fake.detach())).float()
        d_loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        self.d_optimizer.zero_grad(set_to_none=True)
        d_loss.backward()
        self.d_optimizer.step()

        D.requires_grad_(False)  # its gradients are not needed for G's step
        with self._autocast():
            g_loss = F.softplus(-D(self._seen(fake)).float()).mean()
        self.g_optimizer.zero_grad(set_to_none=True)
        g_loss.backward()
        self.g_optimizer.step()
        D.requires_grad_(True)

        # The decay warms up, so that the average forgets its random start.
        decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(G.parameters()), 1 - decay)
        self.step += 1
        accuracy = ((real_logits > 0).float().mean() + (fake_logits < 0).float().mean()) / 2
        return {"d_loss": d_loss.item(), "g_loss": g_loss.item(), "d_accuracy": accuracy.item()}

    def _seen(self, images: Tensor) -> Tensor:
        """What D gets to see of images."""
        return diff_augment(images, self.augment, self.random)

    def _autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16)

    def averaged_model(self) -> DCGAN:
        """A copy with the averaged G, its batch-norm statistics measured on its own images."""
        model = copy.deepcopy(self.model)
        model.generator.load_state_dict(self.average.state_dict())
        norms = [m for m in model.generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches below
        draws = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for _ in range(20):
                model.generate(model.sample_latents(128, draws).to(self.device))
        return model.eval().requires_grad_(False)

    def state_dict(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "g_optimizer": self.g_optimizer.state_dict(),
            "d_optimizer": self.d_optimizer.state_dict(),
            "random": self.random.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict) -> None:
        for name in ("model", "average", "g_optimizer", "d_optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.random.set_state(state["random"])
        self.step, self.seconds = state["step"], state["seconds"]


def initialise(model: DCGAN, seed: int) -> DCGAN:
    """DCGAN's initial weights: normal with deviation 0.02, around 1 for batch norm's scales."""
    draws = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
        else:  # one-dimensional weights are batch norm's scales
            torch.nn.init.normal_(parameter, float(parameter.ndim == 1), 0.02, generator=draws)
    return model


def batch_indices(step: int, batch_size: int, count: int, seed: int) -> Tensor:
    """Which images a step sees: every image once an epoch, in an order that only the seed decides."""
    batches = count // batch_size
    epoch, position = divmod(step, batches)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
    return order[position * batch_size : (position + 1) * batch_size]


def prepare(images: Tensor, flips: bool, random: torch.Generator) -> Tensor:
    """uint8 (N, 3, H, W) to float32 in [-1, 1], half of the images mirrored when `flips`."""
    real = images.float() / 127.5 - 1
    if flips:
        mirrored = torch.rand(len(real), generator=random) < 0.5
        real[mirrored] = real[mirrored].flip(3)
    return real.contiguous(memory_format=torch.channels_last)


def save_checkpoint(path: Path, state: dict) -> None:
    """Writes beside `path` and renames, so that a kill leaves the old checkpoint or the new one."""
    scratch = path.with_suffix(".tmp")
    with open(scratch, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def main(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / CHECKPOINT_NAME
    if checkpoint.exists() and not arguments.resume:
        raise ValueError(f"{checkpoint} exists: add --resume to continue it, or choose another --out.")

    config = DCGANConfig()
    images, _ = split(load_images(arguments.data, config.image_size), arguments.held_out)
    if len(images) < arguments.batch_size:
        raise ValueError(f"{len(images)} training images are fewer than one batch of {arguments.batch_size}.")
    device = device_from_name(arguments.device)
    trainer = Trainer(
        initialise(DCGAN(config), arguments.seed),
        arguments.learning_rate,
        arguments.ema,
        arguments.seed,
        device,
        tuple(arguments.augment),
    )
    if arguments.resume and checkpoint.exists():
        trainer.load_state_dict(torch.load(checkpoint, map_location=device, weights_only=True))
        logger.info("resumed at step %d", trainer.step)

    steps = int(arguments.images // arguments.batch_size)
    fixed_z = trainer.model.sample_latents(64, torch.Generator().manual_seed(arguments.seed)).to(device)
    losses: list[dict[str, float]] = []
    mark, mark_step = time.monotonic(), trainer.step

    def save() -> dict[str, float]:
        nonlocal mark, mark_step
        elapsed = time.monotonic() - mark
        trainer.seconds += elapsed
        save_checkpoint(checkpoint, trainer.state_dict())
        model = trainer.averaged_model()
        record = {
            "step": trainer.step,
            "images": trainer.step * arguments.batch_size,
            "seconds": round(trainer.seconds),
        }
        if losses:
            record |= {name: round(float(np.mean([row[name] for row in losses])), 4) for name in losses[0]}
            record["images_per_second"] = round((trainer.step - mark_step) * arguments.batch_size / elapsed, 1)
            with open(out / "metrics.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(record) + "\n")
        (out / "samples").mkdir(exist_ok=True)
        hub.sample_grid(model, fixed_z).save(out / "samples" / f"{trainer.step:07d}.png")
        export(model, out / "model", arguments, record, len(images))
        losses.clear()
        mark, mark_step = time.monotonic(), trainer.step
        return record

    with tqdm(total=steps * arguments.batch_size, initial=trainer.step * arguments.batch_size, unit="img") as bar:
        while trainer.step < steps:
            indices = batch_indices(trainer.step, arguments.batch_size, len(images), arguments.seed)
            real = prepare(images[indices], not arguments.no_flips, trainer.random).to(device)
            losses.append(trainer.train_step(real))
            if not np.isfinite(losses[-1]["d_loss"] + losses[-1]["g_loss"]):
                raise ValueError(
                    f"the loss became NaN or infinite at step {trainer.step}; try a lower --learning-rate."
                )
            bar.update(len(indices))
            if time.monotonic() - mark > arguments.every:
                record = save()
                bar.set_postfix_str(f"D accuracy {record['d_accuracy']:.2f}", refresh=False)
    save()


def export(model: DCGAN, folder: Path, arguments: argparse.Namespace, record: dict, count: int) -> None:
    """Writes a complete model folder, with a summary of the training in its configuration."""
    training = {
        "data": Path(arguments.data).name,
        "training_images": count,
        "images_seen": record["images"],
        "steps": record["step"],
        "hours": round(record["seconds"] / 3600, 2),
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "ema": arguments.ema,
        "flips": not arguments.no_flips,
        "augment": list(arguments.augment),
        "seed": arguments.seed,
    }
    model.config = DCGANConfig(**{**vars(model.config), "training": training})
    hub.save(model, folder)
