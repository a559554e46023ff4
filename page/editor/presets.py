"""The paper's holes, sent to the browser as packed bits, so that choosing one needs no request."""

from functools import cache

from inpainter import masks

from ..runs.scene import pack

VARIANTS = 4  # seeds of the random holes


@cache
def presets(size: int) -> dict[str, str]:
    """Returns all holes by name, such as "center", "half:left" or "pattern:2"."""
    holes = {"center": masks.center(size)}
    holes |= {f"half:{side}": masks.half(size, side) for side in masks.SIDES}
    for seed in range(VARIANTS):
        holes |= {f"pattern:{seed}": masks.pattern(size, seed=seed), f"random:{seed}": masks.random(size, seed=seed)}
    return {name: pack(hole) for name, hole in holes.items()}
