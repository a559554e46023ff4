"""Measures inpainting methods on intact test pictures: data sets x masks x methods.

Pictures are damaged with the paper's four masks, filled, and compared with the originals. PSNR over the hole alone
corresponds to the paper's Table 1; the whole picture's is reported as well. With --out, every finished batch is saved,
and running the same command again continues from there.

For an ablation, run it on pictures held out of training:
`--data TRAINING.zip --last --images 32 --methods ours no-blend ... --starts 1 2 4 6`. The table's last column gives
each method's difference from the first and its standard error.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from inpainter import Inpainter, baselines, masks
from inpainter.baselines.context_encoder import ContextEncoder
from inpainter.devices import device_from_name
from inpainter.settings import Settings

from ..data.loading import load_images
from ..looks.features import Network
from . import cells, figures, perceptual, report
from .appearance import Appearance
from .methods import (
    OTHER_MODELS,
    FillingRun,
    baseline_run,
    labels,
    model_of,
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
from .request import CPU_IMAGES, add_arguments, check, needed_runs, set_names

__all__ = ["add_arguments", "main"]

SETTINGS = ("steps", "prior_weight", "learning_rate", "blend", "seed", "precision")  # options of the command


@dataclass(frozen=True)
class TestSet:
    """A test set with the runs that fill it."""

    name: str
    images: NDArray[np.uint8]  # (N, H, W, 3)
    runs: dict[str, FillingRun]  # each run after its origin
    distance: FeatureDistance | None
    appearance: Appearance | None


def main(arguments: argparse.Namespace) -> None:
    check(arguments)
    names = set_names(arguments.data)
    # Open all models first, so that a bad one is found before hours are spent on the others.
    models = [open_models(arguments, index) for index in range(len(names))]
    results = report.Results()
    network = perceptual.network(device_from_name(arguments.device))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        test_set = prepare(name, index, models[index], arguments, network)
        if test_set.distance and len(test_set.images) > 1:
            results.between_intact[name] = test_set.distance.between_intact()
        if test_set.appearance:
            results.intact_looks[name] = test_set.appearance.floor()
        for mask in arguments.masks:
            shown = evaluate(test_set, mask, arguments, results)
            if arguments.out and shown:
                prefix = f"{name}-" if len(names) > 1 else ""
                figures.save(arguments.out / f"{prefix}{mask}", test_set.images, holes_of(mask, test_set.images), shown)

    text = report.report(results)
    print(text)
    if arguments.out:
        (arguments.out / "table.md").write_text(text + "\n", encoding="utf-8")
        report.write_csv(arguments.out / "images.csv", report.COLUMNS, results.rows)
        if results.looks:
            report.write_csv(arguments.out / "looks.csv", report.LOOKS_COLUMNS, report.looks_rows(results))


def open_models(arguments: argparse.Namespace, index: int) -> dict[str, Inpainter | ContextEncoder]:
    """Opens the models for a data set, by option."""
    models: dict[str, Inpainter | ContextEncoder] = {
        option: Inpainter.from_pretrained(getattr(arguments, option)[index], device=arguments.device)
        for option in ("model", *OTHER_MODELS)
        if getattr(arguments, option)
    }
    for option in models.keys() & OTHER_MODELS:
        if (family := models[option].model.config.family) != option:
            given = getattr(arguments, option)[index]
            raise ValueError(f"--{option} {given}: family is {family!r}, expected {option!r}.")
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
        raise ValueError(f"{name}: the models have different picture sizes, {sorted(sizes)} pixels.")
    (size,) = sizes
    device = device_from_name(arguments.device)
    images = load(arguments.data[index], size)
    count = arguments.images or (CPU_IMAGES if device.type == "cpu" else len(images))
    if arguments.looks and len(images) < 2 * count:
        raise ValueError(f"{name}: --looks needs {2 * count} pictures for --images {count}, got {len(images)}.")
    images, others = (images[-count:], images[-2 * count : -count]) if arguments.last else np.split(images, [count])
    settings = Settings(mode="paper", **{field: getattr(arguments, field) for field in SETTINGS})
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
            runs[run] = make(run, models[model_of(run)], settings)
    folder = arguments.out / "cells" if arguments.out else None
    distance = FeatureDistance(network, images, folder) if network else None
    appearance = Appearance(images, others[:count], folder, device) if arguments.looks else None
    return TestSet(name, images, runs, distance, appearance)


def load(path: str, size: int) -> NDArray[np.uint8]:
    """Loads pictures as uint8 (N, size, size, 3)."""
    return np.ascontiguousarray(load_images(path, size).permute(0, 2, 3, 1).numpy())


def holes_of(mask: str, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns one hole per picture: bool (N, H, W). Pattern and random masks take the picture's index as seed."""
    return np.stack([masks.named(mask, images.shape[1], seed=index) for index in range(len(images))])


def evaluate(
    test_set: TestSet, mask: str, arguments: argparse.Namespace, results: report.Results
) -> dict[str, NDArray[np.uint8]]:
    """Fills a test set under one mask with all methods, and adds their scores to `results`.

    Returns:
        Fillings uint8 (N, H, W, 3) to show in figures, by method; omits methods that cannot fill the holes or whose
        score is a mean over several fillings.
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
            blend = test_set.runs[runs[0]].settings.get("blend", "")  # of no use to baselines
            result = result_of(method, [done[name][number] for name in runs], images[batch], holes[batch], blend)
            fillings += result.fillings if len(result.fillings) == 1 else ()  # a mean of scores has no single picture
            distance = partial(test_set.distance, batch=batch) if test_set.distance else None
            values.append(scores(result, images[batch], holes[batch], distance))
        if fillings and label in (arguments.show or (label,)):
            shown[label] = np.concatenate(fillings)
        if fillings and test_set.appearance:
            results.looks[key] = test_set.appearance.measure(np.concatenate(fillings))
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
    """Performs a run on a test set, one cell per batch, starting from the cells of `origin`; reuses cells in `out`."""
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
