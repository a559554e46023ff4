"""The paper's holes, as the browser is given them: packed bits by name, so that choosing one asks nothing."""

from functools import cache

from inpainter import masks

from ..runs.scene import pack

VARIANTS = 4  # seeds of those that are drawn at random


@cache
def presets(size: int) -> dict[str, str]:
    """Every hole by its name, such as "center", "half:left" or "pattern:2"."""
    holes = {"center": masks.center(size)}
    holes |= {f"half:{side}": masks.half(size, side) for side in masks.SIDES}
    for seed in range(VARIANTS):
        holes |= {f"pattern:{seed}": masks.pattern(size, seed=seed), f"random:{seed}": masks.random(size, seed=seed)}
    return {name: pack(hole) for name, hole in holes.items()}
