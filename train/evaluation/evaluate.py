"""Measures inpainting methods on intact test pictures: data sets x masks x methods.

Pictures are damaged with the paper's four masks, filled, and compared with what was there. PSNR over
the hole alone is what agrees with the paper's Table 1; the whole picture's is given beside it. With
--out, every batch is kept as soon as it is done, and the same command after a stop goes on from there.

What helps, measured one at a time, is the same command on pictures that were held out of training:
`--data TRAINING.zip --last --images 32 --methods ours no-blend ... --starts 1 2 4 6`. The table's last
column says by how much each method differs from the first, and with what standard error.
"""

import argparse
import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from inpainter import Inpainter, baselines, hub, masks
from inpainter.baselines.context_encoder import ContextEncoder
from inpainter.images import device_from_name
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT, STEPS

from ..data.loading import load_images
from ..looks.features import Network
from . import cells, figures, perceptual, report
from .methods import (
    METHODS,
    OF_STARTS,
    SEARCHES,
    FillingRun,
    baseline_run,
    labels,
    origin_of,
    refined_run,
    result_of,
    runs_of,
    scores,
    search_run,
    weights_digest,
    with_origins,
)
from .perceptual import FeatureDistance

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
    parser.add_argument(
        "--starts",
        nargs="+",
        type=int,
        default=[4],
        help="codes to start from for the methods of several starts; with several numbers, each is measured",
    )
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument(
        "--precision",
        choices=("auto", "bfloat16"),
        default="auto",
        help="of the convolutions (default auto: float32; in fast searches, bfloat16 where the processor has it)",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="folder for the tables, per-image CSV, figures and finished cells")
    parser.add_argument("--show", nargs="+", default=[], metavar="METHOD", help="methods of the figures (default all)")
    parser.add_argument("--record", action="store_true", help="write the means into the model folder's configuration")


@dataclass(frozen=True)
class TestSet:
    """A data set with the runs that fill it."""

    name: str
    images: NDArray[np.uint8]  # (N, H, W, 3)
    runs: dict[str, FillingRun]  # a run after the one that it begins from
    distance: FeatureDistance | None


def main(arguments: argparse.Namespace) -> None:
    check(arguments)
    names = set_names(arguments.data)
    # All models first, so that a wrong one is found before hours have gone into the others.
    models = [open_models(arguments, index) for index in range(len(names))]
    results = report.Results()
    network = perceptual.network(device_from_name(arguments.device))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        test_set = prepare(name, index, models[index], arguments, network)
        if test_set.distance and len(test_set.images) > 1:
            results.between_intact[name] = test_set.distance.between_intact()
        for mask in arguments.masks:
            shown = evaluate(test_set, mask, arguments, results)
            if arguments.out and shown:
                prefix = f"{name}-" if len(names) > 1 else ""
                figures.save(arguments.out / f"{prefix}{mask}", test_set.images, holes_of(mask, test_set.images), shown)
        if arguments.record:
            ours = [row for row in results.rows if row["data"] == name and row["method"] == "ours"]
            report.record_means(hub.locate(arguments.model[index]), ours, arguments, index)

    text = report.report(results)
    print(text)
    if arguments.out:
        (arguments.out / "table.md").write_text(text + "\n", encoding="utf-8")
        report.write_csv(arguments.out / "images.csv", results.rows)


def check(arguments: argparse.Namespace) -> None:
    """Raises `ValueError` when the options do not fit together."""
    needed = needed_runs(arguments)
    wants = {
        "model": bool(set(needed) & (SEARCHES.keys() - {"vae"})) or arguments.record,
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
    several = OF_STARTS.keys() & set(arguments.methods) and len(arguments.starts) == 1  # of which one is none
    for name, value, least in (
        ("batch-size", arguments.batch_size, 1),
        ("starts", min(arguments.starts), 2 if several else 1),
        ("images", arguments.images, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}.")
    rows = labels(arguments.methods, arguments.starts)
    if unknown := set(arguments.show) - rows.keys():
        raise ValueError(f"--show: {min(unknown)} is not among the methods measured: {', '.join(rows)}.")


def needed_runs(arguments: argparse.Namespace) -> list[str]:
    """All runs that the methods are made from, each after the one that it begins from."""
    rows = labels(arguments.methods, arguments.starts).values()
    return with_origins(run for method, starts in rows for run in runs_of(method, starts))


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
    name: str,
    index: int,
    models: dict[str, Inpainter | ContextEncoder],
    arguments: argparse.Namespace,
    network: Network | None,
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
    for run in needed_runs(arguments):
        if run == "nearest":
            bank = load(arguments.bank[index], size)
            runs[run] = baseline_run(run, {"bank": bank, "device": str(device)}, cells.digest({}, bank))
        elif run == "context_encoder":
            runs[run] = baseline_run(run, {"model": models[run]}, weights_digest(models[run]))
        elif run in baselines.BASELINES:
            runs[run] = baseline_run(run, {"device": str(device)} if run == "tv" else {}, "")
        else:
            make = refined_run if origin_of(run) else search_run
            runs[run] = make(run, models["vae" if run == "vae" else "model"], settings, arguments.precision)
    folder = arguments.out / "cells" if arguments.out else None
    distance = FeatureDistance(network, images, folder) if network else None
    return TestSet(name, images, runs, distance)


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
        uint8 (N, H, W, 3), the fillings for figures by method; without those that refused, or are a mean of scores.
    """
    images, holes = test_set.images, holes_of(mask, test_set.images)
    batches = [slice(first, first + arguments.batch_size) for first in range(0, len(images), arguments.batch_size)]
    done: dict[str, list[cells.Cell]] = {}
    for name in test_set.runs:
        done[name] = fill_batches(test_set, name, mask, holes, batches, arguments.out, done.get(origin_of(name)))

    shown: dict[str, NDArray[np.uint8]] = {}
    for label, (method, starts) in labels(arguments.methods, arguments.starts).items():
        key = (test_set.name, mask, label)
        runs = runs_of(method, starts)
        if reason := next((cell.refused for name in runs for cell in done[name] if cell.refused), ""):
            results.refusals[key] = reason
            continue
        results.seconds[key] = sum(cell.seconds for name in with_origins(runs) for cell in done[name]) / len(images)
        fillings, values = [], []
        for number, batch in enumerate(batches):
            result = result_of(method, [done[name][number] for name in runs], images[batch], holes[batch])
            fillings += result.fillings if len(result.fillings) == 1 else ()  # a mean of scores has no picture
            distance = partial(test_set.distance, batch=batch) if test_set.distance else None
            values.append(scores(result, images[batch], holes[batch], distance))
        if fillings and label in (arguments.show or (label,)):
            shown[label] = np.concatenate(fillings)
        for index, value in enumerate(np.concatenate(values)):
            row = dict(zip(report.SCORES, (round(float(v), 6) for v in value), strict=True))
            results.rows.append({"data": test_set.name, "method": label, "mask": mask, "image": index, **row})
    return shown


def fill_batches(
    test_set: TestSet,
    name: str,
    mask: str,
    holes: NDArray[np.bool_],
    batches: list[slice],
    out: Path | None,
    origin: list[cells.Cell] | None,
) -> list[cells.Cell]:
    """One run over a data set, a cell a batch, from those of its `origin`; what `out` has is not computed again."""
    run, done = test_set.runs[name], []
    with tqdm(total=len(holes) * run.steps, desc=f"{test_set.name} {mask} {name}", unit="step") as bar:
        for number, batch in enumerate(batches):
            images, hole = test_set.images[batch], holes[batch]
            key = cells.digest(run.settings, images, hole)
            path = out / "cells" / f"{mask}-{name}-{batch.start:06d}-{key}.npz" if out else None
            cell = cells.read_cell(path) if path else None
            if cell is None:
                cell = run.compute(images, hole, bar.update, origin[number] if origin else None)
                if path:
                    cells.write_arrays(path, **vars(cell))
            else:
                bar.update(len(images) * run.steps)
            done.append(cell)
    return done
