"""Training speed beside PyTorch's DCGAN tutorial: images a second, of the same networks and batches.

    python -m benchmarks.training [--device cpu] [--rounds 5]

The loop of the tutorial is what people write: float32, channels first, two backward passes for D, the
binary cross-entropy of sigmoids, gradients of G's loss through D's weights as well. Both sides take
turns in rounds, and the medians are compared, so that a machine that is busy meanwhile slows both.
Rates of `Ours` include drawing and preparing the batch; the other loop gets its images ready-made.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a file as well

from inpainter.models import DCGAN, DCGANConfig
from train.data.loading import batch_indices, prepare, step_generator
from train.loop.trainer import initialise
from train.recipes.gan import GANTrainer

SEED = 0


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


def ours(config: DCGANConfig, images: Tensor, batch_size: int, accelerator) -> Callable[[], None]:
    """A step of `python -m train gan`, from the choice of the images on."""
    trainer = GANTrainer(DCGAN(config), accelerator, seed=SEED)

    def step() -> None:
        random = step_generator(SEED, trainer.step)
        indices = batch_indices(trainer.step, batch_size, len(images), SEED)
        trainer.train_step(prepare(images[indices], True, random, accelerator.device), random)

    return step


def images_per_second(step: Callable[[], None], steps: int, batch_size: int, device: torch.device) -> float:
    """The rate of a few steps in a row, with a GPU's work done by the end."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return steps * batch_size / (time.perf_counter() - started)


def main() -> None:
    from accelerate import Accelerator

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="a round and side (default 3, on a GPU 50)")
    arguments = parser.parse_args()

    accelerator = Accelerator(cpu=arguments.device == "cpu", mixed_precision="bf16")
    device = accelerator.device
    steps = arguments.steps or (50 if device.type == "cuda" else 3)
    draws = torch.Generator().manual_seed(SEED)
    config = DCGANConfig()
    size = (arguments.batch_size * 8, 3, config.image_size, config.image_size)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=draws)
    sides = {
        "plain PyTorch, as in its DCGAN tutorial": textbook(config, images, arguments.batch_size, device),
        "python -m train gan": ours(config, images, arguments.batch_size, accelerator),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(arguments.rounds + 1):
        for name, step in sides.items():
            rate = images_per_second(step, steps if turn else 1, arguments.batch_size, device)
            if turn:  # the first warms up
                rates[name].append(rate)

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)"
    print(
        f"{name}; torch {torch.__version__}; batches of {arguments.batch_size}; {arguments.rounds} rounds of {steps}\n"
    )
    print("| loop | images/s (median) | lowest to highest |\n|---|---|---|")
    for name, values in rates.items():
        print(f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} to {max(values):.1f} |")
    plain, own = (statistics.median(values) for values in rates.values())
    print(f"\n{own / plain:.2f} times as fast")


if __name__ == "__main__":
    main()
