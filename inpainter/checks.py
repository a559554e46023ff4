"""Checks of numbers that people give: returned as plain Python numbers, or refused in one sentence."""

import math
from collections.abc import Sequence

import numpy as np


def whole(name: str, value: object, least: int, most: int) -> int:
    """Checks a whole number."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r:.80}.")
    return int(value)


def real(name: str, value: object, above: float = -1, most: float = math.inf) -> float:
    """Checks a finite number of zero or more, above `above` and at most `most`."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0 or not above < value <= most:
        expected = "more than zero" if above == 0 else "zero or more"
        limit = "" if most == math.inf else f" and at most {most}"
        raise ValueError(f"{name} must be a finite number of {expected}{limit}, got {value!r:.80}.")
    return float(value)


def one_or_more(name: str, value: object, check) -> object:
    """Checks one value, or every one of several, which become a tuple."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
        return tuple(check(name, each) for each in value)
    return check(name, value)


def one_each(name: str, value, count: int) -> tuple:
    """Spreads one value over all pictures, or checks that there is one per picture."""
    values = value if isinstance(value, tuple) else (value,) * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values for {count} pictures; give one, or one per picture.")
    return values
