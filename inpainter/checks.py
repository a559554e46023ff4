"""Checks of user-supplied options: each returns plain Python values or raises an error of one sentence."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

WHOLE = {"steps": (0, 100_000), "starts": (1, 1_000), "refine": (0, 1_000), "batch_size": (1, 4096)}  # least, most
MAX_SEED = 2**63 - 1
MAX_WINDOW = 2 * 512 + 1  # pixels; such a window spans the largest picture a model can generate


def checked(options: Mapping[str, Any], choices: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """Checks the fields of a `Settings`; `choices` lists the values of those that are one of several names.

    Raises:
        TypeError, ValueError: one sentence with the option, what was expected and the value seen.
    """
    found = dict(options)
    for name, names in choices.items():
        if found[name] not in names:
            raise ValueError(f"{name} must be one of {', '.join(names)}, got {found[name]!r:.80}.")
    for name, (least, most) in WHOLE.items():
        if found[name] is not None or name not in ("steps", "refine"):
            found[name] = whole(name, found[name], least, most)
    if found["learning_rate"] is not None:
        found["learning_rate"] = real("learning_rate", found["learning_rate"], above=0)
    found["anchor"] = real("anchor", found["anchor"])
    found["truncation"] = real("truncation", found["truncation"], above=0, most=1)
    found["prior_weight"] = one_or_more("prior_weight", found["prior_weight"], real)
    found["seed"] = one_or_more("seed", found["seed"], lambda name, value: whole(name, value, 0, MAX_SEED))
    if found["window"] not in ("auto", None):
        found["window"] = whole("window", found["window"], 3, MAX_WINDOW)
        if found["window"] % 2 == 0:
            raise ValueError(f"window must be an odd number, got {found['window']}.")
    if not isinstance(found["both_ways"], (bool, np.bool_)):
        raise TypeError(f"both_ways must be True or False, got {found['both_ways']!r:.80}.")
    return found | {"both_ways": bool(found["both_ways"])}


def check_names(changes: Collection[str], known: Sequence[str]) -> None:
    """Raises TypeError if a change is to no known setting."""
    if unknown := set(changes) - set(known):
        raise TypeError(f"there is no setting {min(unknown)!r}; the settings are {', '.join(known)}.")


def check_window(window: int | None, side: int) -> None:
    """Raises ValueError for a window that reaches beyond the picture from every pixel."""
    if window is not None and window > 2 * side + 1:
        raise ValueError(f"window must be at most {2 * side + 1} for pictures of {side} pixels, got {window}.")


def whole(name: str, value: object, least: int, most: int) -> int:
    """Checks a whole number."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r:.80}.")
    return int(value)


def real(name: str, value: object, above: float = -1, most: float = math.inf) -> float:
    """Checks a finite, non-negative number greater than `above` and at most `most`."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0 or not above < value <= most:
        expected = "more than zero" if above == 0 else "zero or more"
        limit = "" if most == math.inf else f" and at most {most}"
        raise ValueError(f"{name} must be a finite number of {expected}{limit}, got {value!r:.80}.")
    return float(value)


def one_or_more(name: str, value: object, check) -> object:
    """Checks one value, or each value of a sequence, which becomes a tuple."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
        return tuple(check(name, each) for each in value)
    return check(name, value)


def one_each(name: str, value, count: int) -> tuple:
    """Repeats a single value for all pictures, or checks that a tuple has one per picture."""
    values = value if isinstance(value, tuple) else (value,) * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values for {count} pictures; give one value, or one per picture.")
    return values
