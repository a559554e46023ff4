"""Holes for training: the paper's four kinds, brush strokes, boxes, and everything missing."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from inpainter import masks

PAPER = masks.NAMES
DRAWN = (*PAPER, "strokes")
FINE = 2  # strokes are drawn at this multiple of the resolution


def draw(count: int, size: int, random: torch.Generator, kinds: tuple[str, ...] = PAPER) -> Tensor:
    """Draws a hole of a random kind for each picture: bool (count, size, size)."""
    chosen = torch.randint(len(kinds), (count,), generator=random).tolist()
    seeds = torch.randint(2**31, (count,), generator=random).tolist()
    holes = [one(kinds[kind], size, seed) for kind, seed in zip(chosen, seeds, strict=True)]
    return torch.from_numpy(np.stack(holes))


def draw_shares(count: int, size: int, random: torch.Generator, shares: dict[str, float]) -> NDArray[np.bool_]:
    """Draws holes whose kinds have the given probabilities: bool (count, size, size)."""
    kinds = list(shares)
    chosen = torch.multinomial(torch.tensor(list(shares.values())), count, replacement=True, generator=random).tolist()
    seeds = torch.randint(2**31, (count,), generator=random).tolist()
    return np.stack([one(kinds[kind], size, seed) for kind, seed in zip(chosen, seeds, strict=True)])


def boxes(size: int, seed: int = 0) -> NDArray[np.bool_]:
    """Draws one to three boxes, each 10 to 60 % of the side high and wide: bool (size, size)."""
    random = np.random.default_rng(seed)
    hole = np.zeros((size, size), dtype=bool)
    for _ in range(random.integers(1, 4)):
        height, width = (random.uniform(0.1, 0.6, 2) * size).round().astype(int).clip(1)
        top, left = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
        hole[top : top + height, left : left + width] = True
    return hole


def one(kind: str, size: int, seed: int) -> NDArray[np.bool_]:
    """Draws a hole of the named kind: bool (size, size)."""
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
    """Draws one to four random strokes of a round brush: bool (size, size)."""
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
    """A fixed set of holes with their `trust`, from which training samples at random, mirroring half of them.

    Args:
        size: side in pixels.
        seed: determines the holes.
        shares: probability of each kind.
        discount: as for `trust`.
        count: number of holes.
    """

    def __init__(self, size: int, seed: int, shares: dict[str, float], discount: float, count: int):
        random = torch.Generator().manual_seed(seed)
        self.holes = torch.from_numpy(draw_shares(count, size, random, shares))  # bool (K, H, W)
        self.trust = torch.stack([trust(hole, discount) for hole in self.holes])[:, None]  # float16 (K, 1, H, W)

    def draw(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Samples holes bool (count, H, W) and their trust float32 (count, 1, H, W)."""
        which = torch.randint(len(self.holes), (count,), generator=random)
        flip = torch.rand(count, generator=random) < 0.5
        hole, trusted = self.holes[which], self.trust[which].float()
        hole = torch.where(flip[:, None, None], hole.flip(2), hole)
        return hole, torch.where(flip[:, None, None, None], trusted.flip(3), trusted)


def trust(hole: Tensor, discount: float) -> Tensor:
    """Returns the weight of each missing pixel's original in the loss: float16 (H, W), for a hole bool (H, W).

    This is `discount` to the power of the distance to the nearest known pixel, in 64ths of the side. Known pixels have
    weight 0, as has every pixel if nothing is known.

    Source: Yu et al., *Generative Image Inpainting with Contextual Attention*, CVPR 2018, section 3.2.
    """
    if hole.all():
        return torch.zeros(hole.shape, dtype=torch.float16)
    distance = torch.from_numpy(distance_transform_edt(hole.numpy())) * 64 / len(hole)
    return (discount**distance * hole).half()
