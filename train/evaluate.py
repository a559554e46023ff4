"""Measures inpainting methods on intact test pictures: data sets x masks x methods.

Pictures are damaged with the paper's four masks, filled, and compared with what was there. PSNR over
the hole alone is what agrees with the paper's Table 1; the whole picture's is given beside it. With
--out, every batch is kept as soon as it is done, and the same command after a stop goes on from there.
"""

import argparse
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from inpainter import Inpainter, baselines, hub, masks, metrics
from inpainter.baselines.context_encoder import ContextEncoder
from inpainter.images import device_from_name
from inpainter.records import amend_training
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT, STEPS

from . import cells, figures, report
from .data import load_images
from .methods import (
    METHODS,
    OF_STARTS,
    SEARCHES,
    Run,
    baseline_run,
    outcome,
    runs_of,
    scores,
    search_run,
    weights_digest,
)

logger = logging.getLogger(__name__)

CPU_IMAGES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", nargs="+", default=[], help="model folder or Hub id, one per data set")
    parser.add_argument("--data", required=True, nargs="+", help="intact test pictures: folders or zips")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=["ours"], metavar="METHOD", help=f"of {', '.join(METHODS)}"
    )
    parser.add_argument("--vae", nargs="+", default=[], help="model for the method vae, one per data set")
    parser.add_argument(
        "--context-encoder", nargs="+", default=[], help="model for the method context_encoder, one per data set"
    )
    parser.add_argument("--bank", nargs="+", default=[], help="training pictures for the method nearest")
    parser.add_argument("--size", type=int, default=64, help="of the pictures where no model decides (default 64)")
    parser.add_argument(
        "--images", type=int, help=f"how many pictures to take (default: {CPU_IMAGES} on a CPU, all on a GPU)"
    )
    parser.add_argument("--last", action="store_true", help="take the last pictures, not the first (validation)")
    parser.add_argument("--masks", nargs="+", choices=masks.NAMES, default=list(masks.NAMES), metavar="MASK")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--prior-weight", type=float, default=PRIOR_WEIGHT)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--blend", choices=("poisson", "overlay"), default="poisson")
    parser.add_argument("--seed", type=int, default=0, help="of the starting codes")
    parser.add_argument("--starts", type=int, default=4, help="codes to start from for the methods of several starts")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the convolutions")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="folder for the tables, per-image CSV, figures and finished cells")
    parser.add_argument("--record", action="store_true", help="write the means into the model folder's configuration")


@dataclass(frozen=True)
class TestSet:
    """A data set with the runs that fill it."""

    name: str
    images: NDArray[np.uint8]  # (N, H, W, 3)
    runs: dict[str, Run]


def main(arguments: argparse.Namespace) -> None:
    check(arguments)
    names = set_names(arguments.data)
    # All models first, so that a wrong one is found before hours have gone into the others.
    models = [open_models(arguments, index) for index in range(len(names))]
    results = report.Results()
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        test_set = prepare(name, index, models[index], arguments)
        for mask in arguments.masks:
            shown = evaluate(test_set, mask, arguments, results)
            if arguments.out and shown:
                prefix = f"{name}-" if len(names) > 1 else ""
                draw(arguments.out / f"{prefix}{mask}", test_set.images, holes_of(mask, test_set.images), shown)
        if arguments.record:
            ours = [row for row in results.rows if row["data"] == name and row["method"] == "ours"]
            record(hub.locate(arguments.model[index]), ours, arguments, index)

    text = report.report(results)
    print(text)
    if arguments.out:
        (arguments.out / "table.md").write_text(text + "\n", encoding="utf-8")
        report.write_csv(arguments.out / "images.csv", results.rows)


def check(arguments: argparse.Namespace) -> None:
    """Raises `ValueError` when the options do not fit together."""
    needed = {run for method in arguments.methods for run in runs_of(method, arguments.starts)}
    wants = {
        "model": bool(needed & (SEARCHES.keys() - {"vae"})) or arguments.record,
        "vae": "vae" in needed,
        "context_encoder": "context_encoder" in needed,
        "bank": "nearest" in needed,
    }
    for option, wanted in wants.items():
        given = len(getattr(arguments, option))
        if given not in ((len(arguments.data),) if wanted else (0, len(arguments.data))):
            name = option.replace("_", "-")
            raise ValueError(f"--{name}: give one per data set, that is {len(arguments.data)}; got {given}.")
    if arguments.record and "ours" not in arguments.methods:
        raise ValueError("--record writes the means of the method ours, which is not among --methods.")
    for option, least in (("batch_size", 1), ("starts", 2 if set(arguments.methods) & set(OF_STARTS) else 1)):
        if getattr(arguments, option) < least:
            name = option.replace("_", "-")
            raise ValueError(f"--{name} must be at least {least}, got {getattr(arguments, option)}.")
    if arguments.images is not None and arguments.images < 1:
        raise ValueError(f"--images must be at least 1, got {arguments.images}.")


def set_names(paths: list[str]) -> list[str]:
    """What the data sets are called in tables: the file's name, or the whole path where that is ambiguous."""
    names = [Path(path).name.removesuffix(".zip") for path in paths]
    return [
        name if Counter(names)[name] == 1 else path.strip("/").replace("/", "-")
        for name, path in zip(names, paths, strict=True)
    ]


def open_models(arguments: argparse.Namespace, index: int) -> dict[str, Inpainter | ContextEncoder]:
    """The models for a data set, by option."""
    models: dict[str, Inpainter | ContextEncoder] = {
        option: Inpainter.from_pretrained(getattr(arguments, option)[index], device=arguments.device)
        for option in ("model", "vae")
        if getattr(arguments, option)
    }
    if arguments.vae and (family := models["vae"].model.config.family) != "vae":
        raise ValueError(f"--vae {arguments.vae[index]}: family is {family!r}, expected 'vae'.")
    if arguments.context_encoder:
        device = device_from_name(arguments.device)
        models["context_encoder"] = ContextEncoder.load(arguments.context_encoder[index], device)
    return models


def prepare(
    name: str, index: int, models: dict[str, Inpainter | ContextEncoder], arguments: argparse.Namespace
) -> TestSet:
    """Loads a data set and its bank, and sets up the runs that the methods need."""
    sizes = {m.size if isinstance(m, Inpainter) else m.config.image_size for m in models.values()} or {arguments.size}
    if len(sizes) > 1:
        raise ValueError(f"{name}: the models make pictures of different sizes, {sorted(sizes)} pixels.")
    (size,) = sizes
    device = device_from_name(arguments.device)
    images = load(arguments.data[index], size)
    count = arguments.images or (CPU_IMAGES if device.type == "cpu" else len(images))
    images = images[-count:] if arguments.last else images[:count]

    settings = {option: getattr(arguments, option) for option in ("steps", "prior_weight", "learning_rate", "blend")}
    settings["seed"] = arguments.seed
    runs = {}
    for run in dict.fromkeys(run for method in arguments.methods for run in runs_of(method, arguments.starts)):
        if run == "nearest":
            bank = load(arguments.bank[index], size)
            runs[run] = baseline_run(run, {"bank": bank, "device": str(device)}, cells.digest({}, bank))
        elif run == "context_encoder":
            runs[run] = baseline_run(run, {"model": models[run]}, weights_digest(models[run]))
        elif run in baselines.BASELINES:
            runs[run] = baseline_run(run, {"device": str(device)} if run == "tv" else {}, "")
        else:
            runs[run] = search_run(run, models["vae" if run == "vae" else "model"], settings, arguments.precision)
    return TestSet(name, images, runs)


def load(path: str, size: int) -> NDArray[np.uint8]:
    """Pictures as the library takes them: uint8 (N, size, size, 3)."""
    return np.ascontiguousarray(load_images(path, size).permute(0, 2, 3, 1).numpy())


def holes_of(mask: str, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A hole a picture: bool (N, H, W). Pattern and random masks take the picture's index as seed."""
    return np.stack([masks.named(mask, images.shape[1], seed=index) for index in range(len(images))])


def evaluate(
    test_set: TestSet, mask: str, arguments: argparse.Namespace, results: report.Results
) -> dict[str, NDArray[np.uint8]]:
    """Fills a data set under one mask with all methods, and adds their scores to `results`.

    Returns:
        uint8 (N, H, W, 3), the fillings by method; without those that refused, or are a mean of scores.
    """
    images, holes = test_set.images, holes_of(mask, test_set.images)
    batches = [slice(first, first + arguments.batch_size) for first in range(0, len(images), arguments.batch_size)]
    done = {name: fill(test_set, name, mask, holes, batches, arguments.out) for name in test_set.runs}

    shown: dict[str, NDArray[np.uint8]] = {}
    for method in arguments.methods:
        key = (test_set.name, mask, method)
        runs = runs_of(method, arguments.starts)
        if reason := next((cell.refused for name in runs for cell in done[name] if cell.refused), ""):
            results.refusals[key] = reason
            continue
        results.seconds[key] = sum(cell.seconds for name in runs for cell in done[name]) / len(images)
        fillings, values = [], []
        for number, batch in enumerate(batches):
            result = outcome(method, [done[name][number] for name in runs], images[batch], holes[batch])
            fillings += result.fillings if len(result.fillings) == 1 else ()  # a mean of scores has no picture
            values.append(scores(result, images[batch], holes[batch]))
        if fillings:
            shown[method] = np.concatenate(fillings)
        for index, value in enumerate(np.concatenate(values)):
            row = dict(zip(report.SCORES, (round(float(v), 6) for v in value), strict=True))
            results.rows.append({"data": test_set.name, "method": method, "mask": mask, "image": index, **row})
    return shown


def fill(
    test_set: TestSet, name: str, mask: str, holes: NDArray[np.bool_], batches: list[slice], out: Path | None
) -> list[cells.Cell]:
    """One run over a data set, a cell a batch; those found in `out` are not computed again."""
    run, done = test_set.runs[name], []
    with tqdm(total=len(holes) * run.steps, desc=f"{test_set.name} {mask} {name}", unit="step") as bar:
        for batch in batches:
            images, hole = test_set.images[batch], holes[batch]
            key = cells.digest(run.settings, images, hole)
            path = out / "cells" / f"{mask}-{name}-{batch.start:06d}-{key}.npz" if out else None
            cell = cells.read(path) if path else None
            if cell is None:
                cell = run.compute(images, hole, bar.update)
                if path:
                    cells.write(path, cell)
            else:
                bar.update(len(images) * run.steps)
            done.append(cell)
    return done


def draw(stem: Path, images: NDArray[np.uint8], holes: NDArray[np.bool_], shown: dict[str, NDArray[np.uint8]]) -> None:
    """Saves STEM.png, the first pictures; STEM-errors.png, their error maps; STEM-failures.png, the worst.

    The worst are those of the first method.
    """
    first = np.arange(min(figures.SHOWN, len(images)))
    worst = figures.failures(metrics.psnr(next(iter(shown.values())), images, holes))
    for end, which in (("", first), ("-failures", worst)):
        some = {method: filled[which] for method, filled in shown.items()}
        figures.grid(images[which], holes[which], some).save(f"{stem}{end}.png")
    errors = figures.error_maps(images[first], {method: filled[first] for method, filled in shown.items()})
    errors.save(f"{stem}-errors.png")


def record(folder: Path, rows: list[dict], arguments: argparse.Namespace, index: int) -> None:
    """Puts the means into `training.evaluation` of the folder's configuration, for its model card."""
    evaluation = [
        {
            "data": Path(arguments.data[index]).name,
            "images": len({row["image"] for row in rows}),
            "steps": arguments.steps,
            "prior_weight": arguments.prior_weight,
            "learning_rate": arguments.learning_rate,
            "blend": arguments.blend,
            "precision": arguments.precision,
            "masks": {
                mask: {score: round(mean[score], 3) for score in report.SCORES[:3]}
                for (mask, _), mean in report.means(rows).items()
            },
        }
    ]
    amend_training(folder, evaluation=evaluation)
