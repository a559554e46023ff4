"""Trains a CoMod model, a generator that sees what is left of a picture, on intact images with holes drawn into them.

G and D are trained against each other on composed pictures, with the non-saturating loss and lazy R1. Beside D, G
learns from the known pixels, from D's features and from those of a pretrained network; and from the truth under the
hole, which counts the less the further it is from anything known, because there it is one of many. Where little is
known, two fillings of one picture must differ.

A model can be grown: `--grow` starts from a trained one of half the size.
"""

import argparse
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from inpainter import hub, masks
from inpainter import images as img
from inpainter.models import CoMod, CoModConfig
from inpainter.models.comod import GAIN, Conv, damaged, grown, leaky

from ..data import holes
from ..looks import sheets
from ..looks.features import build, read_weights
from ..loop import options, run
from ..loop.options import number
from ..loop.trainer import Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

KINDS = {"center": 0.15, "half": 0.15, "pattern": 0.15, "random": 0.15, "strokes": 0.25, "boxes": 0.1, "all": 0.05}
R1_STEPS = 16  # the penalty is taken every so many steps, with so many times the weight
DISCOUNT = 0.93  # per pixel of 64 from what is known: how much less the truth counts
JUDGE_R1 = 1.0
PAIRS = 8  # one in so many rows of a batch is a second filling of another
KNOWN_WEIGHT, FEATURE_WEIGHT, PAIR_WEIGHT = 3.0, 2.0, 3.0
PAIR_DIFFERENCE = 0.2  # mean absolute difference in the hole, in [-1, 1], that two fillings of one picture should have
PERCEPTUAL_LAYERS = (3, 5, 7, 13)  # of EfficientNet-Lite0, the blocks from whose features the losses are taken
JUDGED_LAYERS = slice(1, 4)  # those that the second judge sees


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_loop_arguments(parser, least_batch=PAIRS)
    parser.set_defaults(images=2_000_000, batch_size=32)
    parser.add_argument("--learning-rate", type=number(float, 0), default=2e-3, help="of Adam (default %(default)s)")
    parser.add_argument("--ema", type=number(float, 0, 1), default=0.998, help="decay a step of the average of G")
    parser.add_argument("--r1", type=number(float, 0), default=0.1, metavar="GAMMA", help="weight of D's penalty")
    parser.add_argument("--pixel-weight", type=number(float, 0), default=2.0, help="of the truth under the hole")
    parser.add_argument("--perceptual-weight", type=number(float, 0), default=1.0, help="of pretrained features")
    parser.add_argument("--judge-weight", type=number(float, 0), default=0.0, help="of a judge of pretrained features")
    parser.add_argument("--grow", metavar="MODEL", help="start from a trained model of half the size")
    for name in ("encoder", "decoder", "discriminator"):
        parser.add_argument(f"--{name}-channels", type=number(int, 1), nargs="+", metavar="WIDTH")


def main(arguments: argparse.Namespace) -> None:
    shape = {
        name: tuple(value)
        for name in ("encoder_channels", "decoder_channels", "discriminator_channels")
        if (value := getattr(arguments, name))
    }
    torch.manual_seed(arguments.seed)
    if arguments.grow:
        before = hub.load(arguments.grow)
        model = grown(before, *(widths[0] for widths in shape.values()))
    else:
        size = 2 ** (len(next(iter(shape.values()))) + 1) if shape else 64
        model = CoMod(CoModConfig(image_size=size, **shape))
    arguments.channels = None

    def make_trainer(accelerator: "Accelerator") -> CoModTrainer:
        return CoModTrainer(
            model,
            accelerator,
            learning_rate=arguments.learning_rate,
            beta1=0.0,
            seed=arguments.seed,
            ema=arguments.ema,
            r1=arguments.r1,
            pixel_weight=arguments.pixel_weight,
            perceptual_weight=arguments.perceptual_weight,
            judge_weight=arguments.judge_weight,
        )

    run.train(arguments, make_trainer, ("ema", "r1"))


@dataclass
class CoModTrainer(Trainer):
    """Trains G and D against each other; the average of G over the steps is what gets published."""

    model: CoMod
    ema: float = 0.998
    r1: float = 0.1
    pixel_weight: float = 2.0
    perceptual_weight: float = 1.0
    judge_weight: float = 0.0

    def __post_init__(self):
        self.device = self.accelerator.device
        self.place(self.model).requires_grad_(True)
        self.average = copy.deepcopy(self.model.generator).requires_grad_(False)
        self.g_optimizer = self.adam(self.model.generator)
        self.d_optimizer = self.adam(self.model.discriminator)
        self.parts = {
            "model": self.model,
            "average": self.average,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
        }
        self.size = self.model.config.image_size
        self.bank = HoleBank(self.size, self.seed)
        self.perceptual = Perceptual().to(self.device)
        if self.judge_weight:
            torch.manual_seed(self.seed + 1)
            self.judge = self.place(Judge())
            self.j_optimizer = self.adam(self.judge)
            self.parts |= {"judge": self.judge, "j_optimizer": self.j_optimizer}

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=self.learning_rate, betas=(self.beta1, 0.99), fused=True)

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """One update of D, then of G; both judge the same fillings, which are made once."""
        G, D = self.model.generator, self.model.discriminator
        pairs = len(real) // PAIRS
        hole, trust = self.bank.draw(len(real), random)  # (N, H, W), (N, 1, H, W)
        hole, trust = hole.to(self.device), trust.to(self.device)
        real, hole, trust = (torch.cat([t[:-pairs], t[:pairs]]) for t in (real, hole, trust))
        real = real.contiguous(memory_format=torch.channels_last)
        z = self.model.sample_latents(len(real), random)
        few = slice(pairs, pairs + len(z) // 4)
        z[few] *= torch.rand(len(z[few]), 1, generator=random)  # from smaller boxes, so that z = 0 is known as well
        z = z.to(self.device)
        gone = hole[:, None].float()
        share = gone.mean((1, 2, 3))  # (N,)
        sure = (trust.sum((1, 2, 3)) / gone.sum((1, 2, 3)).clamp(min=1))[:, None]  # how determined the filling is

        with self.accelerator.autocast():
            images = G(damaged(real, hole), z)
        composed = torch.where(hole[:, None], images, real)
        real_input = damaged(real, hole, hide=False)
        with self.accelerator.autocast():
            real_logits, real_features = D(real_input)
            fake_logits, _ = D(damaged(composed.detach(), hole, hide=False))
        d_loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        penalty = d_loss.new_zeros(())
        if self.r1 and self.step % R1_STEPS == 0:
            penalty = R1_STEPS * self.r1 / 2 * gradient_penalty(D, real_input)
        self.update(self.d_optimizer, d_loss + penalty)

        dy, dx = torch.randint(-1, 3, (2,), generator=random).tolist()  # else its strides leave their grid in the fillings
        wanted = self.perceptual(real.roll((dy, dx), (2, 3)))
        found = self.perceptual(composed.roll((dy, dx), (2, 3)))
        judged = j_loss = d_loss.new_zeros(())
        if self.judge_weight:
            J, touched = self.judge, [F.adaptive_max_pool2d(gone.roll((dy, dx), (2, 3)), f.shape[2:]) for f in found[JUDGED_LAYERS]]
            j_loss = J.loss(wanted[JUDGED_LAYERS], touched, -1) + J.loss([f.detach() for f in found[JUDGED_LAYERS]], touched, 1)
            j_penalty = 0
            if self.step % R1_STEPS == 0:
                j_penalty = R1_STEPS * J.penalty(wanted[JUDGED_LAYERS], touched)
            self.update(self.j_optimizer, j_loss + j_penalty)
            J.requires_grad_(False)
            judged = J.loss(found[JUDGED_LAYERS], touched, -1)
            J.requires_grad_(True)

        D.requires_grad_(False)
        with self.accelerator.autocast():
            logits, features = D(damaged(composed, hole, hide=False))
        adversarial = F.softplus(-logits).mean()
        error = (images - real).abs()
        known = (error * (1 - gone)).mean()
        pixel = (error * trust).mean()
        match = sum(
            ((a.float() - b.detach().float()).abs().mean((1, 2, 3)) * sure[:, 0]).mean()
            for a, b in zip(features, real_features, strict=True)
        ) / len(features)
        perceptual = (distance(found, wanted) * sure[:, 0]).mean()
        apart = ((images[-pairs:] - images[:pairs]).abs() * gone[:pairs]).mean((1, 2, 3)) / share[:pairs].clamp(min=1e-3)
        wanted = PAIR_DIFFERENCE * (1 - sure[:pairs, 0])
        alike = F.relu(wanted - apart).mean()
        loss = (
            adversarial
            + KNOWN_WEIGHT * known
            + self.pixel_weight * pixel
            + FEATURE_WEIGHT * match
            + self.perceptual_weight * perceptual
            + PAIR_WEIGHT * alike
            + self.judge_weight * judged
        )
        self.update(self.g_optimizer, loss)
        D.requires_grad_(True)

        decay = min(self.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(G.parameters()), 1 - decay)
        self.step += 1
        accuracy = ((real_logits > 0).float().mean() + (fake_logits < 0).float().mean()) / 2
        return {
            "d_loss": d_loss.detach(),
            "g_loss": adversarial.detach(),
            "r1_loss": penalty.detach(),
            "known_loss": known.detach(),
            "pixel_loss": pixel.detach(),
            "match_loss": match.detach(),
            "perceptual_loss": perceptual.detach(),
            "alike_loss": alike.detach(),
            "judged_loss": judged.detach(),
            "judge_loss": j_loss.detach(),
            "d_accuracy": accuracy,
        }

    def published(self) -> CoMod:
        model = copy.deepcopy(self.model)
        model.generator.load_state_dict(self.average.state_dict())
        return model.eval().requires_grad_(False)

    @torch.no_grad()
    def look(self, model: CoMod, images: Tensor, held_out: Tensor) -> tuple[Image.Image, dict[str, float]]:
        """First proposals for held-out pictures, pasted, beside the truth; samples of an empty picture; PSNR in holes."""
        held_out = held_out[:96].to(self.device).float() / 127.5 - 1
        shown = min(12, len(held_out))
        draws = torch.Generator().manual_seed(self.seed)
        z = model.sample_latents(len(held_out), draws).to(self.device)
        rows, found = {"intact": img.to_uint8(held_out[:shown].cpu())}, {}
        for name in (*masks.NAMES, "again", "all"):
            kind = "half" if name == "again" else name
            hole = torch.from_numpy(holes.one(kind, self.size, 0)).to(self.device).expand(len(held_out), -1, -1)
            if name == "again":
                z = z.flip(0)
            filled = model.bound(held_out, hole)
            with self.accelerator.autocast():
                made = filled.compose(filled.generate(z))
            rows[name] = img.to_uint8(made[:shown].cpu())
            if name not in ("all", "again"):
                error = ((made.clamp(-1, 1) - held_out) / 2).square().mean(1)[hole].view(len(made), -1).mean(1)
                found[f"psnr_{name}"] = round(float((-10 * error.log10()).mean()), 2)
        return sheets.labelled(rows), found

    def summary(self) -> dict[str, Any]:
        return {"holes": list(KINDS)}


class HoleBank:
    """Holes to train on, drawn once, with how far the truth under them is to be trusted; turned about when used."""

    def __init__(self, size: int, seed: int, count: int = 4096):
        random = torch.Generator().manual_seed(seed)
        self.holes = torch.from_numpy(holes.draw_shares(count, size, random, KINDS))  # bool (K, H, W)
        self.trust = torch.stack([trust(hole, size) for hole in self.holes])[:, None]  # float16 (K, 1, H, W)

    def draw(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Holes bool (N, H, W), and trust float32 (N, 1, H, W)."""
        which = torch.randint(len(self.holes), (count,), generator=random)
        flip = torch.rand(count, generator=random) < 0.5
        hole, trusted = self.holes[which], self.trust[which].float()
        hole = torch.where(flip[:, None, None], hole.flip(2), hole)
        return hole, torch.where(flip[:, None, None, None], trusted.flip(3), trusted)


def trust(hole: Tensor, size: int) -> Tensor:
    """DISCOUNT to the power of a missing pixel's distance from what is known; 0 for known ones, and all of an empty
    picture (Yu et al., *Generative Image Inpainting with Contextual Attention*, CVPR 2018, section 3.2)."""
    from scipy.ndimage import distance_transform_edt

    if hole.all():
        return torch.zeros(hole.shape, dtype=torch.float16)
    distance = torch.from_numpy(distance_transform_edt(hole.numpy())) * 64 / size
    return (DISCOUNT**distance * hole).half()


def gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1 in float32: the squared length of the gradient of D's logit at real pictures, mean over them."""
    with torch.autocast(real.device.type, enabled=False):
        real = real.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(real)[0].sum(), real, create_graph=True)
        return gradient[:, :3].square().sum((1, 2, 3)).mean()


class Perceptual(nn.Module):
    """Features of EfficientNet-Lite0 at strides 2, 4, 8 and 16, each brought to unit deviation."""

    def __init__(self):
        super().__init__()
        self.layers = build(read_weights())[: PERCEPTUAL_LAYERS[-1] + 1].to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) in [-1, 1] to features (N, C, h, w)."""
        found = []
        with torch.autocast(x.device.type, enabled=False), torch.set_grad_enabled(x.requires_grad):
            for index, layer in enumerate(self.layers):
                x = layer(x)
                if index in PERCEPTUAL_LAYERS:
                    found.append(x)
        return found


def distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean difference of features, relative to how large they are: (N,)."""
    each = [
        (a - b).abs().mean((1, 2, 3)) / b.abs().mean().clamp(min=1e-6) for a, b in zip(found, wanted, strict=True)
    ]
    return torch.stack(each).mean(0)


class Judge(nn.Module):
    """Small discriminators of pretrained features, one a size, that see the hole as well.

    Source: Kumari et al., *Ensembling Off-the-shelf Models for GAN Training*, CVPR 2022; Sauer et al., *Projected
    GANs Converge Faster*, NeurIPS 2021.
    """

    def __init__(self, channels: tuple[int, ...] = (24, 40, 112), width: int = 64):
        super().__init__()
        self.first = nn.ModuleList([Conv(c + 1, width, 3) for c in channels])
        self.more = nn.ModuleList([Conv(width, width, 3, gain=GAIN) for c in channels])
        self.logit = nn.ModuleList([Conv(width, 1, 1, gain=GAIN) for c in channels])

    def forward(self, features: list[Tensor], touched: list[Tensor]) -> list[Tensor]:
        """Logits (N, 1, h, w) of each size."""
        logits = []
        for f, t, first, more, logit in zip(features, touched, self.first, self.more, self.logit, strict=True):
            f = f * torch.rsqrt(f.detach().square().mean((1, 2, 3), keepdim=True) + 1e-6)
            logits.append(logit(leaky(more(leaky(first(torch.cat([f, t], 1)))))))
        return logits

    def loss(self, features: list[Tensor], touched: list[Tensor], sign: int) -> Tensor:
        """softplus(sign * logit), mean over the places that the hole touches and over sizes."""
        each = [
            (F.softplus(sign * logit) * t).sum() / t.sum().clamp(min=1)
            for logit, t in zip(self(features, touched), touched, strict=True)
        ]
        return torch.stack(each).mean()

    def penalty(self, features: list[Tensor], touched: list[Tensor]) -> Tensor:
        """R1 with respect to the normalised features."""
        features = [
            (f * torch.rsqrt(f.square().mean((1, 2, 3), keepdim=True) + 1e-6)).detach().requires_grad_() for f in features
        ]
        total = sum((logit * t).sum() for logit, t in zip(self(features, touched), touched, strict=True))
        gradients = torch.autograd.grad(total, features, create_graph=True)
        return JUDGE_R1 / 2 * sum(g.square().sum((1, 2, 3)).mean() / g[0, 0].numel() for g in gradients)
