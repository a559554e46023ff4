"""Checks of what a call of the inpainter is asked for."""

from collections.abc import Sequence

import numpy as np

from . import blending, search
from .search import fast

MODES = {"fast": fast.STEPS, "paper": search.STEPS}  # and their usual number of steps


def one_each(name: str, value, count: int, kind: type) -> list:
    """Spreads one value over all pictures, or checks that there is one a picture."""
    values = (
        list(value) if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) else [value] * count
    )
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values for {count} pictures; give one, or one a picture.")
    try:
        return [kind(v) for v in values]
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number or one a picture, got {value!r}.") from error


def check_settings(
    steps: int,
    starts: int,
    batch_size: int,
    refine: int,
    learning_rate: float | None,
    anchor: float,
    truncation: float,
    feature_weight: float,
    weights: list[float],
    blend: str,
) -> None:
    """Raises `ValueError` for a setting of `Inpainter.__call__` that is out of range."""
    whole = (("steps", steps, 0), ("starts", starts, 1), ("batch_size", batch_size, 1), ("refine", refine, 0))
    for name, value, least in whole:
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    if learning_rate is not None and not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate must be positive, got {learning_rate!r}.")
    if not 0 < truncation <= 1:
        raise ValueError(f"truncation must be more than 0 and at most 1, got {truncation!r}.")
    for name, value in (("anchor", anchor), ("feature_weight", feature_weight)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be zero or more, got {value!r}.")
    if not all(0 <= weight < float("inf") for weight in weights):
        raise ValueError(f"prior_weight must be zero or more, got {weights!r}.")
    if blend not in blending.MODES:
        raise ValueError(f"blend must be one of {', '.join(blending.MODES)}, got {blend!r}.")


def choose_mode(mode: str | None, steps: int | None, learning_rate: float | None = None) -> tuple[str, int]:
    """The mode and the number of steps that `Inpainter.__call__` takes, where not all is said."""
    if mode is None:
        mode = "fast" if steps is None and learning_rate is None else "paper"
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}.")
    return mode, MODES[mode] if steps is None else steps
