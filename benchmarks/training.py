"""Training speed: images per second of `gan`, beside PyTorch's DCGAN tutorial, and of `comod` at 64 and 128 pixels.

    OMP_NUM_THREADS=1 python -m benchmarks.training --out docs/results/training.csv

The loop of the tutorial is what people write: float32, channels first, two backward passes for D, the
binary cross-entropy of sigmoids, gradients of G's loss through D's weights as well. It has the networks of `gan`.
All sides take turns in rounds, and the medians are compared, so that a machine that is busy meanwhile slows all.
Rates of ours include drawing and preparing the batch; the other loop gets its images ready-made. Beside the rate of
the clock stands that of the processor's time, which other work on the machine disturbs less.
"""

import argparse
import csv
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a file as well

from inpainter import files
from inpainter.devices import device_from_name
from inpainter.models import DCGAN, CoMod, CoModConfig, DCGANConfig
from train.data.loading import batch_indices, prepare, step_generator
from train.loop.options import mixed_precision
from train.loop.trainer import Trainer, initialise, keep_freed_memory
from train.recipes.comod import CoModTrainer
from train.recipes.gan import GANTrainer
from train.recipes.growing import grown

SEED = 0
SIDES = ("tutorial", "gan", "comod-64", "comod-128")
COLUMNS = (
    "loop",
    "batch_size",
    "threads",
    "device",
    "images_per_second",
    "lowest",
    "highest",
    "per_second_of_cpu_time",
)


def textbook(config: DCGANConfig, images: Tensor, batch_size: int, device: torch.device) -> Callable[[], None]:
    """A step of the tutorial's loop on images uint8 (N, 3, H, W), with the networks of `config`."""
    model = initialise(DCGAN(config), SEED).to(device).train()
    G, D = model.generator, nn.Sequential(model.discriminator, nn.Sigmoid())
    criterion = nn.BCELoss()
    d_adam = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
    real = (images[:batch_size].float() / 127.5 - 1).to(device)

    def step() -> None:
        D.zero_grad()
        label = torch.full((batch_size,), 1.0, device=device)
        d_real = criterion(D(real).view(-1), label)
        d_real.backward()
        fake = G(torch.rand(batch_size, config.latent_size, device=device) * 2 - 1)
        label.fill_(0)
        d_fake = criterion(D(fake.detach()).view(-1), label)
        d_fake.backward()
        d_adam.step()
        G.zero_grad()
        label.fill_(1)
        g_loss = criterion(D(fake).view(-1), label)
        g_loss.backward()
        g_adam.step()

    return step


def ours(trainer: Trainer, images: Tensor, batch_size: int) -> Callable[[], None]:
    """A step of a training, from the choice of the images on."""

    def step() -> None:
        random = step_generator(SEED, trainer.step)
        indices = batch_indices(trainer.step, batch_size, len(images), SEED)
        trainer.train_step(prepare(images[indices], True, random, trainer.device), random)

    return step


def comod_trainer(size: int, accelerator) -> CoModTrainer:
    """The training of `comod` with the losses of the published models; at 128 pixels as grown from 64."""
    model = CoMod(CoModConfig())
    if size == 128:
        model = grown(model, 16, 24, 24)
    return CoModTrainer(model, accelerator, seed=SEED)


def rates(step: Callable[[], None], steps: int, batch_size: int, device: torch.device) -> tuple[float, float]:
    """Images per second of a few steps in a row, with a GPU's work done by the end: by the clock, and by CPU time."""
    started, busy = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    images = steps * batch_size
    return images / (time.perf_counter() - started), images / (time.process_time() - busy)


def main() -> None:
    from accelerate import Accelerator

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="a round and side (default 3, on a GPU 50)")
    parser.add_argument("--only", choices=SIDES, nargs="+", default=SIDES, help="of the loops")
    parser.add_argument("--out", type=Path, help="CSV file")
    parser.add_argument("--usual-allocator", action="store_true", help="do not keep freed memory, as trainings do")
    arguments = parser.parse_args()

    if not arguments.usual_allocator:
        keep_freed_memory()
    device = device_from_name(arguments.device)
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=mixed_precision(device))
    batch = arguments.batch_size
    steps = arguments.steps or (50 if device.type == "cuda" else 3)
    draws = torch.Generator().manual_seed(SEED)
    images = {s: torch.randint(0, 256, (batch * 8, 3, s, s), dtype=torch.uint8, generator=draws) for s in (64, 128)}
    make = {
        "tutorial": lambda: textbook(DCGANConfig(), images[64], batch, device),
        "gan": lambda: ours(GANTrainer(DCGAN(DCGANConfig()), accelerator, seed=SEED), images[64], batch),
        "comod-64": lambda: ours(comod_trainer(64, accelerator), images[64], batch),
        "comod-128": lambda: ours(comod_trainer(128, accelerator), images[128], batch),
    }
    sides = {name: make[name]() for name in arguments.only}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for turn in range(arguments.rounds + 1):
        for name, step in sides.items():
            rate = rates(step, steps if turn else 1, batch, device)
            if turn:  # the first warms up
                found[name].append(rate)

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for loop, values in found.items():
        wall, busy = zip(*values, strict=True)
        figures = statistics.median(wall), min(wall), max(wall), statistics.median(busy)
        writer.writerow([loop, batch, torch.get_num_threads(), name, *(f"{figure:.1f}" for figure in figures)])
    print(text.getvalue())
    if arguments.out:
        files.write_text(arguments.out, text.getvalue())


if __name__ == "__main__":
    main()
