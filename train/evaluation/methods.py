"""The methods that an evaluation can compare: the search, its variants, ways to combine starts, and baselines.

A run fills pictures, and may start from the result of another run, its origin. A method is a row of the table, made
from one or more runs: "no-blend" pastes the result of the same search, and the methods with several starts share runs.
"""

import ast
import dataclasses
import importlib.metadata
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import inpainter
from inpainter import Inpainter, Progress, baselines, metrics
from inpainter.images import to_tensor, to_uint8
from inpainter.results import compose
from inpainter.search import losses
from inpainter.search import refine as refining
from inpainter.settings import Settings

from .cells import Cell, digest

# With all of the paper's 1500 steps, the PSNR in the hole on 24 held-out half holes and 8 centre holes is 14.69 and
# 19.54 dB with 0.25, 14.45 and 19.36 with 0.35, 13.73 and 19.71 with 0.5, 13.27 and 19.52 with 0.7, 12.74 and 18.86
# with 1.
TRUNCATION = 0.25

FAST = {"mode": "fast", "steps": None, "learning_rate": None}
# Each variant's changes to the command's settings, which are those of the paper's mode.
SEARCHES: dict[str, dict[str, Any]] = {
    "ours": {},
    "unweighted": {"window": None},  # the first version of the paper
    "l2": {"norm": "l2"},
    "no-prior": {"prior_weight": 0.0},
    "truncated": {"truncation": TRUNCATION},
    "proposal": FAST | {"steps": 0},  # of the encoder, or of a conditional generator
    "fast": FAST | {"refine": 0},
    "default": FAST,
    "both-ways": FAST | {"both_ways": True},
    "vae": {},
    "comod-proposal": FAST | {"steps": 0},
    "comod": FAST,
    "comod-both-ways": FAST | {"both_ways": True},
}
OTHER_MODELS = ("vae", "comod")  # option and family of the model of the searches that are named after it
REFINED = "refined"  # refines the codes found by "ours"
# Methods with several starts, and the run behind each; the first start uses the command's seed.
OF_STARTS = {
    "mean-of-starts": "ours",
    "best-of-starts": "ours",
    "average-of-starts": "ours",
    "best": REFINED,
    "average-of-proposals": "proposal",
    "average-of-defaults": "default",
    "average-of-comods": "comod",
}
AVERAGES = ("average-of-starts", "best", "average-of-proposals", "average-of-defaults", "average-of-comods")
METHODS = (*SEARCHES, "no-blend", REFINED, *OF_STARTS, *baselines.BASELINES)

# Parts of the library that cannot change the result of a search, or of a baseline.
NOT_OF_SEARCHES = ("__main__.py", "hub", "batch", "baselines")
NOT_OF_BASELINES = (
    "__main__.py",
    "hub",
    "batch",
    "search",
    "pipeline.py",
    "pretrained.py",
    "results.py",
    "settings.py",
    "checks.py",
)

Advance = Callable[[int], None]
Distance = Callable[[NDArray[np.uint8]], NDArray[np.float64]]  # of filled pictures from the intact ones: (N,)


@dataclass(frozen=True)
class FillingRun:
    """One way to fill pictures: `compute(images, holes, advance, origin)`, and everything its result depends on.

    `advance` is called with a total of `steps` per picture. `origin` is the result of the run named by `origin_of` on
    the same pictures, or None.
    """

    name: str
    compute: Callable[[NDArray[np.uint8], NDArray[np.bool_], Advance, Cell | None], Cell]
    steps: int
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fillings:
    """A method's fillings of N pictures, several if their scores are averaged; losses (N, 2), NaN without a search."""

    fillings: tuple[NDArray[np.uint8], ...]
    losses: NDArray[np.float64]


def labels(methods: list[str], starts: list[int]) -> dict[str, tuple[str, int]]:
    """Returns the method and number of starts of each row of the table, by the row's label.

    If several numbers of starts are given, the methods with several starts have a row for each: "best (2)", "best (4)".
    """
    rows = {}
    for method in methods:
        for number in starts if method in OF_STARTS else [1]:
            several = method in OF_STARTS and len(starts) > 1
            rows[f"{method} ({number})" if several else method] = (method, number)
    return rows


def model_of(run: str) -> str:
    """Returns the option that gives the model of a search: "model" for all but those of `OTHER_MODELS`."""
    return next((family for family in OTHER_MODELS if run.startswith(family)), "model")


def runs_of(method: str, starts: int) -> tuple[str, ...]:
    """Returns the runs that a method needs; "ours" with other seeds is "ours+1", "ours+2", ..."""
    if run := OF_STARTS.get(method):
        return (run, *(f"{run}+{k}" for k in range(1, starts)))
    return ("ours",) if method == "no-blend" else (method,)


def origin_of(run: str) -> str | None:
    """Returns the name of the run whose codes a run starts from, if any."""
    return run.replace(REFINED, "ours") if run.startswith(REFINED) else None


def with_origins(runs: Iterable[str]) -> list[str]:
    """Returns runs and their origins, each once and after its origin."""
    return list(dict.fromkeys(name for run in runs for name in (origin_of(run), run) if name))


def result_of(
    method: str, cells: list[Cell], images: NDArray[np.uint8], holes: NDArray[np.bool_], blend: str
) -> Fillings:
    """Builds a method's result from the cells of its runs on the same pictures.

    "mean-of-starts" averages the scores of all candidates, the expected score of a single start; "best-of-starts" keeps
    the candidate with the lowest loss; `AVERAGES` average the candidates' generated images and blend the mean.
    """
    losses = np.stack([cell.losses for cell in cells])  # (K, N, 2)
    fillings = np.stack([cell.images for cell in cells])  # (K, N, H, W, 3)
    if method in AVERAGES and len(cells) > 1:
        mean = np.mean([cell.generated for cell in cells], axis=0)  # (N, H, W, 3)
        generated = torch.from_numpy(mean / 127.5 - 1).float().permute(0, 3, 1, 2)
        return Fillings((compose(images, generated, holes, blend),), np.full_like(losses[0], np.nan))
    match method:
        case "no-blend":
            return Fillings((np.where(holes[..., None], cells[0].generated, images),), losses[0])
        case "mean-of-starts":
            return Fillings(tuple(fillings), losses.mean(axis=0))
        case "best-of-starts":
            best, each = losses.sum(axis=2).argmin(axis=0), np.arange(len(images))
            return Fillings((fillings[best, each],), losses[best, each])
    return Fillings((fillings[0],), losses[0])


def scores(
    result: Fillings, images: NDArray[np.uint8], holes: NDArray[np.bool_], distance: Distance | None
) -> NDArray[np.float64]:
    """Returns scores (N, 6): PSNR in the hole and of the whole picture, SSIM, `distance`, context and prior loss."""
    nothing = np.full(len(images), np.nan)
    each = [
        (
            metrics.psnr(filled, images, holes),
            metrics.psnr(filled, images),
            metrics.ssim(filled, images),
            distance(filled) if distance else nothing,
        )
        for filled in result.fillings
    ]
    return np.concatenate([np.mean(each, axis=0).T, result.losses], axis=1)


def search_run(name: str, model: Inpainter, settings: Settings) -> FillingRun:
    """Builds a search run: `settings` with the changes of its variant and its seed offset."""
    variant, _, offset = name.partition("+")
    settings = dataclasses.replace(settings, **SEARCHES[variant])
    settings = dataclasses.replace(settings, seed=settings.seed + int(offset or 0))
    fast = settings.mode == "fast"
    proposes = model.encoder is not None or model.model.conditional
    refused = "the model proposes no codes." if variant == "proposal" and not proposes else ""

    def compute(images: NDArray[np.uint8], holes: NDArray[np.bool_], advance: Advance, origin: None) -> Cell:
        if refused:
            return refusal(images, refused)
        started = time.perf_counter()
        result = model(images, holes, settings, callback=counting(advance), batch_size=len(images))
        losses = np.stack([result.context_loss, result.loss - result.context_loss], axis=1).astype(np.float64)
        return Cell(result.images, result.generated, result.latents, losses, time.perf_counter() - started)

    depends = depends_on(model, settings)
    if fast and model.encoder is not None:
        depends["encoder"] = weights_digest(model.encoder)
    return FillingRun(name, compute, settings.resolved(model.model, 1).steps * (1 + settings.both_ways), depends)


def counting(advance: Advance) -> Callable[[int, Progress], None]:
    """Returns a callback for the inpainter that calls `advance` with the number of rows stepped; never stops it."""

    def report(step: int, progress: Progress) -> None:
        advance(len(progress.pictures) if step else 0)

    return report


def refined_run(name: str, model: Inpainter, settings: Settings) -> FillingRun:
    """Builds a run that refines the codes found with the same `settings` and seed, by `refine.STEPS` steps."""
    resolved = settings.resolved(model.model, 1)
    precision, blend = resolved.precision, resolved.blend

    def compute(images: NDArray[np.uint8], holes: NDArray[np.bool_], advance: Advance, origin: Cell) -> Cell:
        started = time.perf_counter()
        pictures, missing = to_tensor(images, model.device), torch.from_numpy(holes).to(model.device)
        codes = torch.from_numpy(origin.latents).to(model.device)
        generated = refining.refine(model.model, pictures, missing, codes, precision=precision)
        context_loss = losses.context_loss(generated, pictures, losses.importance_weights(missing))
        prior_loss = settings.prior_weight * model.model.bound(pictures, missing).prior_loss(generated, codes)
        filled = compose(images, generated, holes, blend)
        both = torch.stack([context_loss, prior_loss], dim=1).double().cpu().numpy()
        advance(len(images))
        return Cell(filled, to_uint8(generated), origin.latents, both, time.perf_counter() - started)

    seed = settings.seed + int(name.partition("+")[2] or 0)
    settings = dataclasses.replace(settings, seed=seed, refine=refining.STEPS)
    return FillingRun(name, compute, 1, depends_on(model, settings))


def depends_on(model: Inpainter, settings: Settings) -> dict[str, Any]:
    """Returns everything a search's result depends on, besides pictures and holes."""
    resolved = dataclasses.asdict(settings.resolved(model.model, 1))
    return {
        **{name: value for name, value in resolved.items() if name != "batch_size"},
        "model": weights_digest(model.model),
        "device": model.device.type,
        "code": code_digest(NOT_OF_SEARCHES),
    }


def code_digest(without: tuple[str, ...], root: Path = Path(inpainter.__file__).parent) -> str:
    """Returns a digest of the library's source and the versions of its imports, so that no result outlives its code.

    Args:
        without: files and folders of `root` to leave out.
    """
    files = [path for path in sorted(root.rglob("*.py")) if path.relative_to(root).parts[0] not in without]
    sources = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in files}
    return digest({"sources": sources, "versions": versions_of(sources.values())})


def versions_of(sources: Iterable[str]) -> dict[str, str]:
    """Returns the versions of the installed packages that source texts import, by their PyPI names."""
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    owners = importlib.metadata.packages_distributions()
    packages = {package for name in names for package in owners.get(name.partition(".")[0], ())}
    return {package: importlib.metadata.version(package) for package in packages}


def weights_digest(model: torch.nn.Module) -> str:
    """Returns a digest of a model's weights."""
    weights = model.state_dict()
    return digest({"names": list(weights)}, *(tensor.cpu().numpy() for tensor in weights.values()))


def baseline_run(name: str, needs: dict[str, Any], depends: str) -> FillingRun:
    """Builds a run of a baseline with the arguments it `needs`, whose digest is `depends`."""
    fill = baselines.get(name, **needs)

    def compute(images: NDArray[np.uint8], holes: NDArray[np.bool_], advance: Advance, origin: None) -> Cell:
        started = time.perf_counter()
        try:
            filled = fill(images, holes)
        except baselines.NotApplicable as error:
            return refusal(images, str(error))
        finally:
            advance(len(images))
        return dataclasses.replace(refusal(images, ""), images=filled, seconds=time.perf_counter() - started)

    package = baselines.BASELINES[name].library
    version = importlib.metadata.version(package[1]) if package else ""
    code = code_digest(NOT_OF_BASELINES)
    return FillingRun(name, compute, 1, {"baseline": name, "needs": depends, "library": version, "code": code})


def refusal(images: NDArray[np.uint8], reason: str) -> Cell:
    """Returns the cell of a method that cannot fill these holes: no pictures, codes or losses."""
    nothing = np.empty((0, *images.shape[1:]), np.uint8)
    return Cell(nothing, nothing, np.empty((0, 0), np.float32), np.full((len(images), 2), np.nan), 0.0, reason)
