"""Trains a CoMod model, a generator that sees the damaged picture, on intact images with randomly drawn holes.

G and D are trained adversarially on composed pictures, with the non-saturating loss and lazy R1. G also has losses on
the known pixels, D's features, the features of a pretrained network, and the true pixels under the hole. The latter
count less the further they are from known pixels, where the truth is only one of many valid fillings. Where little is
known, two fillings of one picture are pushed apart.

`--start` continues from a trained model, or grows one of half the size, with new optimisers. `--fade` then phases in
the pictures' finer detail: otherwise D could at first recognise a grown G's fillings by the lack of it alone, and would
forget everything else it had learnt. `--warm-up` first trains G alone, on the losses that need no discriminator: a G
that starts from other pictures first learns where things are in these, at half the time per image. `--mirrored` shows
G the mirror image as well; a trained G learns to use it from there.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from inpainter import masks, metrics
from inpainter.hub.records import images_seen
from inpainter.models import CoMod
from inpainter.models.comod_networks import damaged

from ..data import holes
from ..data.augment import paired
from ..looks import sheets
from ..looks.log import LEAST_PICTURES, LooksLog
from ..looks.measure import proposals
from ..loop import options, run
from ..loop.options import number
from ..loop.trainer import GeneratorTrainer, Trainer
from .comod_losses import PAIRS, Batch, alike, eased, feature_match
from .gan import R1_STEPS, accuracy, gradient_penalty
from .growing import NETWORKS, detailed, starting_model
from .pretrained import JUDGED, Judge, Pretrained, distance, touched

if TYPE_CHECKING:
    from accelerate import Accelerator

KINDS = {"center": 0.15, "half": 0.15, "pattern": 0.15, "scattered": 0.15, "strokes": 0.25, "boxes": 0.1, "all": 0.05}
HOLES = 4096  # drawn once, in advance
KNOWN_WEIGHT, FEATURE_WEIGHT, PAIR_WEIGHT = 3.0, 2.0, 3.0
LOOKED_AT, SHOWN = 96, 12  # held-out pictures filled at every save, and how many of them are on the sheet
NUMBERS = {  # options, and fields of the trainer
    "learning_rate": "for Adam",
    "generator_rate": "G's learning rate relative to that of its discriminators",
    "ema": "decay per step of G's moving average",
    "r1": "gamma of D's gradient penalty",
    "pixel_weight": "weight of the true pixels under the hole",
    "perceptual_weight": "weight of the distance in pretrained features",
    "judge_weight": "weight of a second D on pretrained features",
    "discount": "factor by which the truth counts less per pixel (of 64) away from known pixels; 1: it never does",
    "caution": "power of this factor by which D and the second D count less as well; 0: they never do",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_loop_arguments(parser, least_batch=PAIRS, least_held_out=1)  # `look` needs held-out pictures
    parser.set_defaults(images=2_000_000, batch_size=32, channels=None)
    for name, what in NUMBERS.items():
        kind = number(float, 0, 1 if name in ("ema", "discount") else sys.float_info.max)
        default = getattr(CoModTrainer, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=f"{what} (%(default)s)")
    parser.add_argument("--start", metavar="MODEL", help="trained model to continue, or to grow by one width each")
    options.add_augment(parser)
    parser.add_argument(
        "--mirrored",
        action="store_true",
        help="show G the mirror image too, for pictures that are roughly symmetric, such as faces",
    )
    parser.add_argument(
        "--backbone",
        action="store_true",
        help="show G the features of EfficientNet-Lite0 too, for pictures that vary much, such as cars",
    )
    parser.add_argument(
        "--attention",
        action="store_true",
        help="let distant parts of what G sees affect each other, such as the two wheels of a car",
    )
    parser.add_argument(
        "--fade",
        type=number(int, 0),
        default=0,
        metavar="IMAGES",
        help="start with pictures at half resolution and reach full detail after so many images (%(default)s)",
    )
    parser.add_argument(
        "--warm-up",
        type=number(int, 0),
        default=0,
        metavar="IMAGES",
        help="train G without its discriminators for so many images (%(default)s)",
    )
    parser.add_argument(
        "--looks-every",
        type=number(int, 1),
        metavar="IMAGES",
        help="log how fillings of held-out pictures look (kid, c2st, eyes) every IMAGES images",
    )
    for name in NETWORKS:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=number(int, 1), nargs="+", metavar="WIDTH", help="from full size to 4x4")


def main(arguments: argparse.Namespace) -> None:
    if arguments.looks_every and arguments.held_out < LEAST_PICTURES:
        raise ValueError(f"--looks-every needs --held-out {LEAST_PICTURES} or more, got {arguments.held_out}.")
    torch.manual_seed(arguments.seed)
    model = starting_model(arguments)
    recipe = {name: getattr(arguments, name) for name in ("seed", *NUMBERS)}

    def make_trainer(accelerator: "Accelerator") -> CoModTrainer:
        batch = arguments.batch_size * accelerator.num_processes
        every = arguments.looks_every and arguments.looks_every // batch
        phases = {name: getattr(arguments, name) // batch for name in ("fade", "warm_up")}
        augmented = tuple(arguments.augment)
        return CoModTrainer(model, accelerator, **recipe, **phases, looks_every=every, augment=augmented)

    sees = ("mirrored", "backbone", "attention")
    run.train(arguments, make_trainer, ("start", *sees, "fade", "warm_up", "augment", *NUMBERS))


@dataclass
class CoModTrainer(GeneratorTrainer):
    """Trains G and D adversarially; publishes the moving average of G."""

    model: CoMod
    learning_rate: float = 2e-3
    generator_rate: float = 1.0  # below 1, G cannot outrun D: Heusel et al., NeurIPS 2017 (two time scales)
    beta1: float = 0.0
    beta2: float = 0.99
    ema: float = 0.998
    r1: float = 0.03
    pixel_weight: float = 4.0
    perceptual_weight: float = 5.0
    judge_weight: float = 1.0
    discount: float = 0.98
    caution: float = 0.0
    augment: tuple[str, ...] = ()
    fade: int = 0  # steps until pictures reach full detail, after growing
    warm_up: int = 0  # steps without D and judge
    looks_every: int | None = None  # steps

    def __post_init__(self):
        super().__post_init__()
        rate = self.generator_rate * self.learning_rate
        self.g_optimizer = self.adam(self.model.generator, learning_rate=rate)
        self.d_optimizer = self.adam(self.model.discriminator)
        self.parts |= {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        self.size = self.model.config.image_size
        self.bank = holes.HoleBank(self.size, self.seed, KINDS, self.discount, HOLES)
        if self.perceptual_weight or self.judge_weight:
            self.pretrained = Pretrained().to(self.device)
        if self.judge_weight:
            torch.manual_seed(self.seed + 1)
            self.judge = self.place(Judge())
            self.j_optimizer = self.adam(self.judge)
            self.parts |= {"judge": self.judge, "j_optimizer": self.j_optimizer}
        self.looks = None if self.looks_every is None else LooksLog(self.looks_every)

    def initialised(self) -> CoMod:
        return self.model.requires_grad_(True)  # `starting_model` has set the weights

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Updates D and the judge, then G, all on the same fillings, which are generated once."""
        batch = self.draw(detailed(real, self.step / self.fade) if self.step < self.fade else real, random)
        rival, measured = self.step >= self.warm_up, {}
        if not rival:  # the truth counts throughout the hole: what is likely there, though blurred, is a good start
            batch = replace(batch, trust=batch.gone)
        with self.accelerator.autocast():
            images = self.model.generator(damaged(batch.real, batch.hole), batch.z)
        augmented = paired(self.augment, random)
        composed = augmented(batch.seen(torch.where(batch.hole[:, None], images, batch.real)))
        real, contest = augmented(torch.cat([batch.seen(batch.real), batch.contest], 1)).split([4, 1], 1)
        losses = self.truth_losses(batch, images)  # by name: weight and value
        if rival:
            measured, real_features = self.train_discriminator(real, composed.detach())
            losses |= self.adversarial_losses(batch, eased(composed, contest), real_features)
        if self.perceptual_weight or self.judge_weight:
            # Shift the pictures randomly, or the features' strides leave a grid in the fillings.
            shift = torch.randint(-1, 3, (2,), generator=random).tolist()
            real, made, contest = (t.roll(shift, (2, 3)) for t in (real, composed, contest))
            wanted, found = self.pretrained(real[:, :3]), self.pretrained(made[:, :3])
            losses["perceptual_loss"] = self.perceptual_weight, (distance(found, wanted) * batch.sure.square()).mean()
            if self.judge_weight and rival:
                where, weight = (touched(t, found[JUDGED]) for t in ((real[:, 3:] > 0).float(), contest))
                measured["judge_loss"] = self.train_judge(found[JUDGED], wanted[JUDGED], where)
                judge = self.judge.requires_grad_(False)
                losses["judged_loss"] = self.judge_weight, judge.loss(found[JUDGED], where, -1, weight)
                judge.requires_grad_(True)
        self.update(self.g_optimizer, sum(weight * loss for weight, loss in losses.values()))
        self.follow()
        return measured | {name: loss.detach() for name, (_, loss) in losses.items()}

    def draw(self, real: Tensor, random: torch.Generator) -> Batch:
        """Draws holes and codes for images (N, 3, H, W), and replaces the last images by the first ones."""
        pairs = len(real) // PAIRS
        drawn = (real, *(t.to(self.device) for t in self.bank.draw(len(real), random)))
        real, hole, trust = (torch.cat([t[:-pairs], t[:pairs]]) for t in drawn)
        # Where nothing is known, only the discriminators tell G what is likely.
        contest = torch.where(hole.all(2).all(1)[:, None, None, None], 1.0, trust**self.caution * hole[:, None])
        z = self.model.sample_latents(len(real), random)
        few = slice(pairs, pairs + len(z) // 4)
        z[few] *= torch.rand(len(z[few]), 1, generator=random)  # from smaller boxes, so that G also learns z = 0
        return Batch(real.contiguous(memory_format=torch.channels_last), hole, trust, contest, z.to(self.device))

    def train_discriminator(self, real: Tensor, composed: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Updates D on pictures with holes (N, 4, H, W); returns the losses, and D's features of the real ones."""
        D = self.model.discriminator
        with self.accelerator.autocast():
            real_logits, real_features = D(real)
            fake_logits, _ = D(composed)
        loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        penalty = loss.new_zeros(())
        if self.r1 and self.step % R1_STEPS == 0:
            penalty = R1_STEPS * self.r1 / 2 * gradient_penalty(lambda x: D(x)[0], real, channels=3)
        self.update(self.d_optimizer, loss + penalty)
        measured = {"d_loss": loss, "r1_loss": penalty, "d_accuracy": accuracy(real_logits, fake_logits)}
        return {name: value.detach() for name, value in measured.items()}, [f.detach() for f in real_features]

    def train_judge(self, found: list[Tensor], wanted: list[Tensor], where: list[Tensor]) -> Tensor:
        """Updates the judge on pretrained features of composed and real pictures; returns its loss."""
        loss = self.judge.loss(wanted, where, -1) + self.judge.loss([f.detach() for f in found], where, 1)
        penalty = R1_STEPS * self.judge.penalty(wanted, where) if self.step % R1_STEPS == 0 else 0
        self.update(self.j_optimizer, loss + penalty)
        return loss.detach()

    def adversarial_losses(
        self, batch: Batch, composed: Tensor, real_features: list[Tensor]
    ) -> dict[str, tuple[float, Tensor]]:
        """Returns G's losses from D on composed pictures with their holes (N, 4, H, W): (weight, value) by name.

        `real_features` are D's features of the intact pictures.
        """
        D = self.model.discriminator.requires_grad_(False)  # its gradients are not needed
        with self.accelerator.autocast():
            logits, features = D(composed)
        D.requires_grad_(True)
        return {
            "g_loss": (1.0, F.softplus(-logits).mean()),
            "match_loss": (FEATURE_WEIGHT, feature_match(features, real_features, batch.sure.square())),
        }

    def truth_losses(self, batch: Batch, images: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Returns the losses of G's images (N, 3, H, W) that need no network: (weight, value) by name."""
        error = (images - batch.real).abs()
        return {
            "known_loss": (KNOWN_WEIGHT, (error * (1 - batch.gone)).mean()),
            "pixel_loss": (self.pixel_weight, (error * batch.trust).mean()),
            "alike_loss": (PAIR_WEIGHT, alike(images, batch.gone, batch.sure)),
        }

    @torch.no_grad()
    def look(self, model: CoMod, images: Tensor, held_out: Tensor) -> tuple[Image.Image, dict[str, float]]:
        """Returns a sheet of pasted first proposals for held-out pictures, their PSNR in the hole, and their looks.

        The row "again" is "half" with other codes; "all" shows samples for entirely missing pictures.
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
        before = images_seen(self.model.config.training)  # by the model that training started from, if any
        return {"holes": list(KINDS)} | ({"images_seen_before": before} if before else {})
