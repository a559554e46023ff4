"""Holes to train on: the paper's four kinds, and brush strokes as people draw them."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
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


def one(kind: str, size: int, seed: int) -> NDArray[np.bool_]:
    """A hole of the kind named: bool (size, size)."""
    if kind == "strokes":
        return strokes(size, seed)
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
