"""Holes to train on: the paper's four kinds, and brush strokes as people draw them."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from inpainter import masks

PAPER = masks.NAMES
DRAWN = (*PAPER, "strokes")
FINE = 2  # strokes are drawn on a canvas so many times as fine


def draw(count: int, size: int, random: torch.Generator, kinds: tuple[str, ...] = PAPER) -> Tensor:
    """Holes of the kinds named, drawn anew for every picture: bool (count, size, size)."""
    chosen = torch.randint(len(kinds), (count,), generator=random).tolist()
    seeds = torch.randint(2**31, (count,), generator=random).tolist()
    holes = [one(kinds[kind], size, seed) for kind, seed in zip(chosen, seeds, strict=True)]
    return torch.from_numpy(np.stack(holes))


def draw_shares(count: int, size: int, random: torch.Generator, shares: dict[str, float]) -> NDArray[np.bool_]:
    """Holes whose kinds come with the shares given: bool (count, size, size)."""
    kinds = list(shares)
    chosen = torch.multinomial(torch.tensor(list(shares.values())), count, replacement=True, generator=random).tolist()
    seeds = torch.randint(2**31, (count,), generator=random).tolist()
    return np.stack([one(kinds[kind], size, seed) for kind, seed in zip(chosen, seeds, strict=True)])


def boxes(size: int, seed: int = 0) -> NDArray[np.bool_]:
    """One to three boxes of 10 to 60 % of the side each: bool (size, size)."""
    random = np.random.default_rng(seed)
    hole = np.zeros((size, size), dtype=bool)
    for _ in range(random.integers(1, 4)):
        height, width = (random.uniform(0.1, 0.6, 2) * size).round().astype(int).clip(1)
        top, left = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
        hole[top : top + height, left : left + width] = True
    return hole


def one(kind: str, size: int, seed: int) -> NDArray[np.bool_]:
    """A hole of the kind named: bool (size, size)."""
    if kind == "strokes":
        return strokes(size, seed)
    if kind == "boxes":
        return boxes(size, seed)
    if kind == "all":
        return np.ones((size, size), dtype=bool)
    if kind == "scattered":
        return masks.random(size, 0.3 + 0.6 * (seed % 1000) / 999, seed)
    return masks.half(size, masks.SIDES[seed % 4]) if kind == "half" else masks.named(kind, size, seed)


def strokes(size: int, seed: int = 0) -> NDArray[np.bool_]:
    """One to four strokes of a round brush that wanders: bool (size, size)."""
    random = np.random.default_rng(seed)
    canvas = Image.new("1", (FINE * size, FINE * size))
    pencil = ImageDraw.Draw(canvas)
    for _ in range(random.integers(1, 5)):
        width = random.uniform(0.05, 0.25) * canvas.width
        point, direction = random.uniform(0, canvas.width, 2), random.uniform(0, 2 * np.pi)
        points = [point]
        for _ in range(random.integers(1, 8)):
            direction += random.normal(0, 0.8)
            point = point + random.uniform(0.05, 0.2) * canvas.width * np.array([np.cos(direction), np.sin(direction)])
            points.append(point)
        pencil.line([tuple(p) for p in points], fill=1, width=round(width))
        for x, y in points:
            pencil.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    return np.asarray(canvas.resize((size, size)))


class HoleBank:
    """Holes drawn once, which training then takes at random and mirrors, with how far the truth in them counts.

    Args:
        size: pixels a side.
        seed: of the drawing.
        shares: how often each kind comes.
        discount: see `trust`.
        count: how many holes are drawn.
    """

    def __init__(self, size: int, seed: int, shares: dict[str, float], discount: float, count: int):
        random = torch.Generator().manual_seed(seed)
        self.holes = torch.from_numpy(draw_shares(count, size, random, shares))  # bool (K, H, W)
        self.trust = torch.stack([trust(hole, discount) for hole in self.holes])[:, None]  # float16 (K, 1, H, W)

    def draw(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Holes bool (count, H, W), and trust float32 (count, 1, H, W)."""
        which = torch.randint(len(self.holes), (count,), generator=random)
        flip = torch.rand(count, generator=random) < 0.5
        hole, trusted = self.holes[which], self.trust[which].float()
        hole = torch.where(flip[:, None, None], hole.flip(2), hole)
        return hole, torch.where(flip[:, None, None, None], trusted.flip(3), trusted)


def trust(hole: Tensor, discount: float) -> Tensor:
    """`discount` to the power of each missing pixel's distance from the known ones, in 64ths of the side.

    0 for known pixels, and everywhere if nothing is known. float16 (H, W), of a hole bool (H, W).

    Source: Yu et al., *Generative Image Inpainting with Contextual Attention*, CVPR 2018, section 3.2.
    """
    if hole.all():
        return torch.zeros(hole.shape, dtype=torch.float16)
    distance = torch.from_numpy(distance_transform_edt(hole.numpy())) * 64 / len(hole)
    return (discount**distance * hole).half()
