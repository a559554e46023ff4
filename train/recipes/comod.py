"""Trains a CoMod model, a generator that sees what is left of a picture, on intact images with holes drawn into them.

G and D are trained against each other on composed pictures, with the non-saturating loss and lazy R1. Beside D, G
learns from the known pixels, from D's features and from those of a pretrained network; and from the truth under the
hole, which counts less the further it is from anything known, because there it is one of many. Where little is
known, two fillings of one picture must differ.

`--start` goes on from a trained model, or grows one of half the size, with new optimisers. `--fade` then brings the
finer detail of the pictures in by and by: at first D could tell a grown G's fillings by their lack of it alone, and
would forget what else it looked at.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from inpainter import hub, masks, metrics
from inpainter.models import CoMod, CoModConfig, ModelError
from inpainter.models.comod import damaged

from ..data import holes
from ..looks import sheets
from ..looks.log import LooksLog
from ..looks.measure import proposals
from ..loop import options, run
from ..loop.options import number
from ..loop.trainer import GeneratorTrainer, Trainer
from .gan import R1_STEPS, accuracy, gradient_penalty
from .growing import detailed, grown
from .pretrained import JUDGED, Judge, Pretrained, distance, touched

if TYPE_CHECKING:
    from accelerate import Accelerator

KINDS = {"center": 0.15, "half": 0.15, "pattern": 0.15, "scattered": 0.15, "strokes": 0.25, "boxes": 0.1, "all": 0.05}
HOLES = 4096  # drawn once
DISCOUNT = 0.93  # per pixel of 64 from what is known: how much less the truth counts
PAIRS = 8  # one in so many rows of a batch is a second filling of another
KNOWN_WEIGHT, FEATURE_WEIGHT, PAIR_WEIGHT = 3.0, 2.0, 3.0
PAIR_DIFFERENCE = 0.2  # mean absolute difference in the hole, in [-1, 1], that two fillings of one picture should have
LOOKED_AT, SHOWN = 96, 12  # held-out pictures that are filled at every save, and of these, on the sheet
NUMBERS = {  # options, and fields of the trainer
    "learning_rate": "of Adam",
    "ema": "decay per step of the average of G",
    "r1": "gamma of D's gradient penalty",
    "pixel_weight": "of the truth under the hole",
    "perceptual_weight": "of the distance in pretrained features",
    "judge_weight": "of a second D, of pretrained features",
}
NETWORKS = ("encoder_channels", "decoder_channels", "discriminator_channels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_loop_arguments(parser, least_batch=PAIRS)
    parser.set_defaults(images=2_000_000, batch_size=32, channels=None)
    for name, what in NUMBERS.items():
        kind, default = number(float, 0, 1 if name == "ema" else sys.float_info.max), getattr(CoModTrainer, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=f"{what} (%(default)s)")
    parser.add_argument("--start", metavar="MODEL", help="trained model to go on from, or to grow by one width each")
    parser.add_argument(
        "--fade",
        type=number(int, 0),
        default=0,
        metavar="IMAGES",
        help="train on pictures reduced to half their size at first, on whole ones after so many images (%(default)s)",
    )
    parser.add_argument(
        "--looks-every",
        type=number(int, 1),
        metavar="IMAGES",
        help="log how fillings of held-out pictures look (kid, c2st, eyes), every so many images",
    )
    for name in NETWORKS:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=number(int, 1), nargs="+", metavar="WIDTH", help="from the picture to 4x4")


def main(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    model = starting_model(arguments)
    recipe = {name: getattr(arguments, name) for name in ("seed", *NUMBERS)}

    def make_trainer(accelerator: "Accelerator") -> CoModTrainer:
        batch = arguments.batch_size * accelerator.num_processes
        every = arguments.looks_every and arguments.looks_every // batch
        return CoModTrainer(model, accelerator, **recipe, fade=arguments.fade // batch, looks_every=every)

    run.train(arguments, make_trainer, ("ema", "r1", "start", "fade"))


def starting_model(arguments: argparse.Namespace) -> CoMod:
    """A new model of the widths given, with weights of torch's current seed; or a trained one, as it is or grown."""
    shape = {name: tuple(value) for name in NETWORKS if (value := getattr(arguments, name))}
    if not arguments.start:
        size = 2 ** (len(next(iter(shape.values()))) + 1) if shape else 64
        return CoMod(CoModConfig(image_size=size, **shape))
    before = hub.load(arguments.start)
    if not isinstance(before, CoMod):
        raise ModelError(f"--start {arguments.start}: its family is {before.config.family!r}, expected 'comod'.")
    if all(widths == getattr(before.config, name) for name, widths in shape.items()):
        return before
    if [len(widths) for widths in shape.values()] != [1] * len(NETWORKS):
        raise ModelError("--start grows a model by one width of each of the three networks, that of the new size.")
    return grown(before, *(widths[0] for widths in shape.values()))


@dataclass(frozen=True)
class Batch:
    """Pictures and their holes; the last of them, one in `PAIRS`, are the first again."""

    real: Tensor  # (N, 3, H, W) in [-1, 1]
    hole: Tensor  # bool (N, H, W)
    trust: Tensor  # (N, 1, H, W), how much the truth in the hole counts, see `holes.trust`
    z: Tensor  # (N, latent_size)

    @property
    def gone(self) -> Tensor:
        """1 in the hole: float (N, 1, H, W)."""
        return self.hole[:, None].float()

    @property
    def sure(self) -> Tensor:
        """How far what is known determines the filling, in [0, 1]: mean trust in the hole, (N,)."""
        return self.trust.sum((1, 2, 3)) / self.gone.sum((1, 2, 3)).clamp(min=1)

    def seen(self, pictures: Tensor) -> Tensor:
        """What D sees of pictures: with the hole (N, 4, H, W)."""
        return damaged(pictures, self.hole, hide=False)


@dataclass
class CoModTrainer(GeneratorTrainer):
    """Trains G and D against each other; the average of G over the steps is what gets published."""

    model: CoMod
    learning_rate: float = 2e-3
    beta1: float = 0.0
    beta2: float = 0.99
    ema: float = 0.998
    r1: float = 0.03
    pixel_weight: float = 2.0
    perceptual_weight: float = 1.0
    judge_weight: float = 1.0
    fade: int = 0  # steps until pictures have their full detail, after growing
    looks_every: int | None = None  # steps

    def __post_init__(self):
        super().__post_init__()
        self.g_optimizer = self.adam(self.model.generator)
        self.d_optimizer = self.adam(self.model.discriminator)
        self.parts |= {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        self.size = self.model.config.image_size
        self.bank = holes.HoleBank(self.size, self.seed, KINDS, DISCOUNT, HOLES)
        if self.perceptual_weight or self.judge_weight:
            self.pretrained = Pretrained().to(self.device)
        if self.judge_weight:
            torch.manual_seed(self.seed + 1)
            self.judge = self.place(Judge())
            self.j_optimizer = self.adam(self.judge)
            self.parts |= {"judge": self.judge, "j_optimizer": self.j_optimizer}
        self.looks = LooksLog(self.looks_every) if self.looks_every else None

    def initialised(self) -> CoMod:
        return self.model.requires_grad_(True)  # its own weights, or those of what it was grown from

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """One update of D and of the judge, then of G; all see the same fillings, which are made once."""
        batch = self.draw(detailed(real, self.step / self.fade) if self.step < self.fade else real, random)
        with self.accelerator.autocast():
            images = self.model.generator(damaged(batch.real, batch.hole), batch.z)
        composed = torch.where(batch.hole[:, None], images, batch.real)
        measured, real_features = self.train_discriminator(batch, composed.detach())
        losses = {}  # by name: weight and value
        if self.perceptual_weight or self.judge_weight:
            # The same features at shifted places each time: else their strides leave a grid in the fillings.
            shift = torch.randint(-1, 3, (2,), generator=random).tolist()
            real, made, gone = (t.roll(shift, (2, 3)) for t in (batch.real, composed, batch.gone))
            wanted, found = self.pretrained(real), self.pretrained(made)
            losses["perceptual_loss"] = self.perceptual_weight, (distance(found, wanted) * batch.sure.square()).mean()
            if self.judge_weight:
                where = touched(gone, found[JUDGED])
                measured["judge_loss"] = self.train_judge(found[JUDGED], wanted[JUDGED], where)
                judge = self.judge.requires_grad_(False)
                losses["judged_loss"] = self.judge_weight, judge.loss(found[JUDGED], where, -1)
                judge.requires_grad_(True)
        losses |= self.generator_losses(batch, images, composed, real_features)
        self.update(self.g_optimizer, sum(weight * loss for weight, loss in losses.values()))
        self.follow()
        return measured | {name: loss.detach() for name, (_, loss) in losses.items()}

    def draw(self, real: Tensor, random: torch.Generator) -> Batch:
        """Draws holes and codes for images (N, 3, H, W), and puts the first again in place of the last."""
        pairs = len(real) // PAIRS
        drawn = (real, *(t.to(self.device) for t in self.bank.draw(len(real), random)))
        real, hole, trust = (torch.cat([t[:-pairs], t[:pairs]]) for t in drawn)
        z = self.model.sample_latents(len(real), random)
        few = slice(pairs, pairs + len(z) // 4)
        z[few] *= torch.rand(len(z[few]), 1, generator=random)  # from smaller boxes, so that z = 0 is known as well
        return Batch(real.contiguous(memory_format=torch.channels_last), hole, trust, z.to(self.device))

    def train_discriminator(self, batch: Batch, composed: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
        """One update of D on composed pictures (N, 3, H, W); what was measured, and D's features of the real ones."""
        D, real_input = self.model.discriminator, batch.seen(batch.real)
        with self.accelerator.autocast():
            real_logits, real_features = D(real_input)
            fake_logits, _ = D(batch.seen(composed))
        loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        penalty = loss.new_zeros(())
        if self.r1 and self.step % R1_STEPS == 0:
            penalty = R1_STEPS * self.r1 / 2 * gradient_penalty(lambda x: D(x)[0], real_input, channels=3)
        self.update(self.d_optimizer, loss + penalty)
        measured = {"d_loss": loss, "r1_loss": penalty, "d_accuracy": accuracy(real_logits, fake_logits)}
        return {name: value.detach() for name, value in measured.items()}, [f.detach() for f in real_features]

    def train_judge(self, found: list[Tensor], wanted: list[Tensor], where: list[Tensor]) -> Tensor:
        """One update of the judge on pretrained features of composed and of real pictures; returns its loss."""
        loss = self.judge.loss(wanted, where, -1) + self.judge.loss([f.detach() for f in found], where, 1)
        penalty = R1_STEPS * self.judge.penalty(wanted, where) if self.step % R1_STEPS == 0 else 0
        self.update(self.j_optimizer, loss + penalty)
        return loss.detach()

    def generator_losses(
        self, batch: Batch, images: Tensor, composed: Tensor, real_features: list[Tensor]
    ) -> dict[str, tuple[float, Tensor]]:
        """G's losses without a pretrained network, by name, each with its weight.

        Args:
            images, composed: what G made, and the same pasted into the pictures: (N, 3, H, W).
            real_features: D's of the intact pictures.
        """
        D = self.model.discriminator.requires_grad_(False)  # its gradients are not needed
        with self.accelerator.autocast():
            logits, features = D(batch.seen(composed))
        D.requires_grad_(True)
        error = (images - batch.real).abs()
        return {
            "g_loss": (1.0, F.softplus(-logits).mean()),
            "known_loss": (KNOWN_WEIGHT, (error * (1 - batch.gone)).mean()),
            "pixel_loss": (self.pixel_weight, (error * batch.trust).mean()),
            "match_loss": (FEATURE_WEIGHT, feature_match(features, real_features, batch.sure.square())),
            "alike_loss": (PAIR_WEIGHT, alike(images, batch.gone, batch.sure)),
        }

    @torch.no_grad()
    def look(self, model: CoMod, images: Tensor, held_out: Tensor) -> tuple[Image.Image, dict[str, float]]:
        """First proposals for held-out pictures, pasted, beside the truth; their PSNR in the hole, and their looks.

        The row "again" is "half" from other codes; "all" are samples for pictures of which nothing is left.
        """
        truth = np.ascontiguousarray(held_out[:LOOKED_AT].permute(0, 2, 3, 1).numpy())
        fill = proposals(model, self.device)
        rows, found = {"intact": truth[:SHOWN]}, {}
        for name in (*masks.NAMES, "again", "all"):
            hole = np.stack([holes.one("half" if name == "again" else name, self.size, 0)] * len(truth))
            with self.accelerator.autocast():
                filled = fill(truth, hole, 2 if name == "again" else 1)
            rows[name] = filled[:SHOWN]
            if name in masks.NAMES:
                found[f"psnr_{name}"] = round(float(metrics.psnr(filled, truth, hole).mean()), 2)
        if self.looks:
            found |= self.looks.measure(self.step, fill, held_out)
        return sheets.labelled(rows), found

    def write(self, model: CoMod, folder: Path, pictures: Image.Image) -> None:
        Trainer.write(self, model, folder, pictures)

    def summary(self) -> dict[str, Any]:
        started = self.model.config.training  # that of the model it began with, if any
        before = started.get("images_seen", 0) + started.get("images_seen_before", 0)
        return {"holes": list(KINDS)} | ({"images_seen_before": before} if before else {})


def feature_match(features: list[Tensor], real_features: list[Tensor], sure: Tensor) -> Tensor:
    """Mean difference of D's features (N, C, h, w) of composed and of intact pictures, weighted by `sure` (N,)."""
    pairs = zip(features, real_features, strict=True)
    return sum(((a.float() - b.float()).abs().mean((1, 2, 3)) * sure).mean() for a, b in pairs) / len(features)


def alike(images: Tensor, gone: Tensor, sure: Tensor) -> Tensor:
    """By how much two fillings of one hole differ less than they should, where little is known.

    After Mao et al., *Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis*, CVPR 2019.
    """
    pairs = len(images) // PAIRS
    difference = ((images[-pairs:] - images[:pairs]).abs() * gone[:pairs]).mean((1, 2, 3))
    difference = difference / gone[:pairs].mean((1, 2, 3)).clamp(min=1e-3)  # mean over the hole
    return F.relu(PAIR_DIFFERENCE * (1 - sure[:pairs]) - difference).mean()
