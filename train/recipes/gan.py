"""Trains a DCGAN on intact images, without holes.

The recipe is DCGAN's (Radford et al. 2016): batch norm in G and D, Adam 2e-4 with beta1 0.5, the non-saturating loss.
The published G is an exponential moving average. The run ends at `--images` and can be interrupted at any time:
`--resume` continues from the last checkpoint.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inpainter.models import DCGAN, DCGANConfig
from inpainter.models.configs import D_NORMS

from ..data.augment import diff_augment
from ..loop import options, run
from ..loop.trainer import GeneratorTrainer

if TYPE_CHECKING:
    from accelerate import Accelerator

R1_STEPS = 16  # steps between penalties, whose weight is multiplied to match


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_arguments(parser)
    options.add_augment(parser)
    parser.add_argument(
        "--plain-last",
        type=options.number(int, 0),
        default=0,
        metavar="IMAGES",
        help="train on the last IMAGES of --images without --augment (default %(default)s)",
    )
    parser.add_argument(
        "--loss",
        choices=LOSSES,
        default="non-saturating",
        help="relativistic: D compares pairs, so its logit has no absolute zero (default %(default)s)",
    )
    parser.add_argument(
        "--r1",
        type=options.number(float, 0),
        default=0.0,
        metavar="GAMMA",
        help="weight of D's gradient penalty (default 0: none)",
    )
    parser.add_argument("--d-norm", choices=D_NORMS, default="batch", help="normalisation in D (default %(default)s)")


def main(arguments: argparse.Namespace) -> None:
    if arguments.plain_last and not arguments.augment:
        raise ValueError(f"--plain-last {arguments.plain_last} has no effect without --augment: add it.")
    if arguments.plain_last > arguments.images:
        raise ValueError(f"--plain-last {arguments.plain_last} must not exceed --images {arguments.images}.")
    config = options.shape(arguments, DCGANConfig, d_norm=arguments.d_norm)
    recipe = options.recipe(arguments) | {
        "loss": arguments.loss,
        "r1": arguments.r1,
        "augment": tuple(arguments.augment),
    }

    def make_trainer(accelerator: "Accelerator") -> GANTrainer:
        batch = arguments.batch_size * accelerator.num_processes
        plain_from = arguments.images // batch - math.ceil(arguments.plain_last / batch)
        return GANTrainer(DCGAN(config), accelerator, **recipe, plain_from=plain_from)

    run.train(arguments, make_trainer, (*options.GENERATOR_SETTINGS, "loss", "r1", "augment", "d_norm"))


@dataclass
class GANTrainer(GeneratorTrainer):
    """Trains G and D adversarially."""

    loss: str = "non-saturating"  # or "relativistic"
    r1: float = 0.0  # gamma of the gradient penalty
    augment: tuple[str, ...] = ()
    plain_from: float = math.inf  # first step without augmentation
    plain_images: int = 0  # number of images trained on without augmentation so far

    def __post_init__(self):
        super().__post_init__()
        self.g_optimizer = self.adam(self.model.generator)
        self.d_optimizer = self.adam(self.model.discriminator)
        self.parts |= {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}

    def state_dict(self) -> dict:
        return super().state_dict() | {"plain_images": self.plain_images}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.plain_images = state.get("plain_images", 0)  # older checkpoints have none

    def summary(self) -> dict[str, Any]:
        return {"images_without_augmentation": self.plain_images} if self.plain_images else {}

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Updates D, then G, both on the same generated images, which are generated once."""
        G, D = self.model.generator, self.model.discriminator
        d_loss_of, g_loss_of, accuracy_of = LOSSES[self.loss]
        z = self.model.sample_latents(len(real), random).to(self.device)
        plain = self.step >= self.plain_from
        augment = () if plain else self.augment

        def judge(images: Tensor) -> Tensor:
            """Returns D's logits of augmented images: float32 (N, 1)."""
            return D(diff_augment(images, augment, random)).float()

        with self.accelerator.autocast():
            fake = G(z)
            real_logits, fake_logits = judge(real), judge(fake.detach())
        d_loss = d_loss_of(real_logits, fake_logits)
        penalised = bool(self.r1) and self.step % R1_STEPS == 0
        penalty = R1_STEPS * self.r1 / 2 * gradient_penalty(judge, real) if penalised else d_loss.new_zeros(())
        self.update(self.d_optimizer, d_loss + penalty)

        D.requires_grad_(False)  # its gradients are not needed for G's step
        with self.accelerator.autocast():
            real_again = judge(real) if self.loss == "relativistic" else None
            g_loss = g_loss_of(judge(fake), real_again)
        self.update(self.g_optimizer, g_loss)
        D.requires_grad_(True)

        self.follow()
        self.plain_images += plain * len(real) * self.accelerator.num_processes
        measured = {
            "d_loss": d_loss.detach(),
            "g_loss": g_loss.detach(),
            "d_accuracy": accuracy_of(real_logits, fake_logits),
        }
        return measured | ({"r1_loss": penalty.detach()} if self.r1 else {})


def gradient_penalty(judge: Callable[[Tensor], Tensor], real: Tensor, channels: int | None = None) -> Tensor:
    """R1: mean squared norm of the gradient of D's logit at real images (N, C, H, W).

    Computed in float32, because bfloat16 is too coarse for a second derivative. Batch norm in D makes each image's
    logit depend slightly on the others, which counts towards its gradient.

    Args:
        judge: D, images to logits.
        channels: use only the gradient of the first `channels` channels; None: of all.

    Source: Mescheder et al., *Which Training Methods for GANs do actually Converge?*, ICML 2018.
    """
    with torch.autocast(real.device.type, enabled=False):
        real = real.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
        return gradient[:, :channels].square().sum((1, 2, 3)).mean()


def accuracy(real: Tensor, fake: Tensor) -> Tensor:
    """Fraction of the logits of real and generated images whose sign is correct."""
    return ((real > 0).float().mean() + (fake < 0).float().mean()) / 2


# By name: D's loss of (real, fake) logits, G's loss of (fake, real) logits, D's accuracy.
# Relativistic: Jolicoeur-Martineau, *The relativistic discriminator*, ICLR 2019, with pairs as in R3GAN.
LOSSES = {
    "non-saturating": (
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake, _: F.softplus(-fake).mean(),
        accuracy,
    ),
    "relativistic": (
        lambda real, fake: F.softplus(fake - real).mean(),
        lambda fake, real: F.softplus(real - fake).mean(),
        lambda real, fake: (real > fake).float().mean(),
    ),
}
