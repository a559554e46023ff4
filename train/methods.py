"""What an evaluation can compare: the search and its variants, rules to choose among starts, baselines.

A run fills pictures; a method is a row of the table, made from one run or several: without blending is
the same search pasted, and the rules for several starts share theirs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import inpainter
from inpainter import Inpainter, baselines, metrics

from .cells import Cell, digest

# What a variant changes in the call of the inpainter.
SEARCHES: dict[str, dict[str, Any]] = {
    "ours": {},
    "unweighted": {"window": None},  # the first version of the paper
    "l2": {"norm": "l2"},
    "no-prior": {"prior_weight": 0.0},
    "vae": {},
}
OF_STARTS = ("mean-of-starts", "best-of-starts", "average-of-starts")
METHODS = (*SEARCHES, "no-blend", *OF_STARTS, *baselines.BASELINES)

# The code that decides what a search and a baseline make of a picture: files of the library.
SEARCH_CODE = (
    "pipeline.py",
    "search.py",
    "objective.py",
    "folding.py",
    "losses.py",
    "blending.py",
    "images.py",
    "models/*.py",
)
BASELINE_CODE = ("baselines/*.py", "blending.py", "images.py", "models/*.py")

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Run:
    """One way to fill pictures: `compute(images, holes, advance)`, and all that its result depends on.

    `steps` is how often `advance` is told of each picture's progress.
    """

    name: str
    compute: Callable[[NDArray[np.uint8], NDArray[np.bool_], Advance], Cell]
    steps: int
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A method's fillings of N pictures, several for a mean of scores; losses (N, 2), NaN without a search."""

    fillings: tuple[NDArray[np.uint8], ...]
    losses: NDArray[np.float64]


def runs_of(method: str, starts: int) -> tuple[str, ...]:
    """The runs that a method is made from; "ours" with another seed is "ours+1", "ours+2", ..."""
    if method in OF_STARTS:
        return ("ours", *(f"ours+{k}" for k in range(1, starts)))
    return ("ours",) if method == "no-blend" else (method,)


def outcome(method: str, cells: list[Cell], images: NDArray[np.uint8], holes: NDArray[np.bool_]) -> Outcome:
    """Makes a method's result from the cells of its runs, for the same pictures.

    "mean-of-starts" scores every candidate and takes the mean, what a single start is worth on average;
    "best-of-starts" keeps the candidate with the lowest loss; "average-of-starts" averages the pictures.
    """
    losses = np.stack([cell.losses for cell in cells])  # (K, N, 2)
    fillings = np.stack([cell.images for cell in cells])  # (K, N, H, W, 3)
    match method:
        case "no-blend":
            return Outcome((np.where(holes[..., None], cells[0].generated, images),), losses[0])
        case "mean-of-starts":
            return Outcome(tuple(fillings), losses.mean(axis=0))
        case "best-of-starts":
            best, each = losses.sum(axis=2).argmin(axis=0), np.arange(len(images))
            return Outcome((fillings[best, each],), losses[best, each])
        case "average-of-starts":
            average = fillings.mean(axis=0).round().astype(np.uint8)
            return Outcome((average,), np.full_like(losses[0], np.nan))
    return Outcome((fillings[0],), losses[0])


def scores(outcome: Outcome, images: NDArray[np.uint8], holes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores (N, 5): PSNR in the hole and of the whole picture, SSIM, context and prior loss."""
    each = [
        (metrics.psnr(filled, images, holes), metrics.psnr(filled, images), metrics.ssim(filled, images))
        for filled in outcome.fillings
    ]
    return np.concatenate([np.mean(each, axis=0).T, outcome.losses], axis=1)


def search_run(name: str, model: Inpainter, settings: dict[str, Any], precision: str) -> Run:
    """A search with `settings` of the call of the inpainter, its convolutions in `precision`."""
    variant, _, offset = name.partition("+")
    settings = {**settings, **SEARCHES[variant]}
    settings["seed"] += int(offset or 0)

    def compute(images: NDArray[np.uint8], holes: NDArray[np.bool_], advance: Advance) -> Cell:
        def report(step: int, progress) -> None:
            advance(len(progress.pictures) if step else 0)

        started = time.perf_counter()
        with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            result = model(images, holes, mode="paper", callback=report, batch_size=len(images), **settings)
        losses = np.stack([result.context_loss, result.prior_loss], axis=1).astype(np.float64)
        return Cell(result.images, result.generated, losses, time.perf_counter() - started)

    depends = {
        **settings,
        "model": weights_digest(model.model),
        "precision": precision,
        "device": model.device.type,
        "code": code_digest(SEARCH_CODE),
    }
    return Run(name, compute, settings["steps"], depends)


def code_digest(patterns: tuple[str, ...], root: Path = Path(inpainter.__file__).parent) -> str:
    """A name for the text of the source files that match, so that a result does not outlive its code."""
    files = sorted(path for pattern in patterns for path in root.glob(pattern))
    return digest({str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in files})


def weights_digest(model: torch.nn.Module) -> str:
    """A name for a model's weights."""
    weights = model.state_dict()
    return digest({"names": list(weights)}, *(tensor.cpu().numpy() for tensor in weights.values()))


def baseline_run(name: str, needs: dict[str, Any], depends: str) -> Run:
    """A baseline with what it `needs`, of which `depends` is a digest."""
    fill = baselines.get(name, **needs)

    def compute(images: NDArray[np.uint8], holes: NDArray[np.bool_], advance: Advance) -> Cell:
        nothing = np.empty((0, *images.shape[1:]), np.uint8)
        losses = np.full((len(images), 2), np.nan)
        started = time.perf_counter()
        try:
            filled = fill(images, holes)
        except baselines.NotApplicable as error:
            return Cell(nothing, nothing, losses, 0.0, str(error))
        finally:
            advance(len(images))
        return Cell(filled, nothing, losses, time.perf_counter() - started)

    return Run(name, compute, 1, {"baseline": name, "needs": depends, "code": code_digest(BASELINE_CODE)})
