"""Translates a model's training record to the Hub's terms: its data, their licence, its scores."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

from .. import files
from ..models import ModelError
from ..models.base import CONFIG_NAME


@dataclass(frozen=True)
class Dataset:
    """Card texts about a training data set."""

    title: str
    hub_id: str
    home: str
    license_name: str
    terms: str
    shows: str
    owners: str  # of the pictures


DATASETS = {
    "celeba": Dataset(
        title="CelebA",
        hub_id="flwrlabs/celeba",
        home="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        license_name="celeba-dataset-release-agreement",
        terms="CelebA is available for non-commercial research only, and so is anything derived from it.",
        shows="aligned, cropped faces of celebrities",
        owners="press and web photographs of living people, not to be redistributed",
    ),
    "svhn": Dataset(
        title="SVHN (Street View House Numbers)",
        hub_id="ufldl-stanford/svhn",
        home="http://ufldl.stanford.edu/housenumbers/",
        license_name="svhn-non-commercial",
        terms="SVHN is released for non-commercial use only.",
        shows="house numbers cropped from street photographs",
        owners="crops of street photographs by Google",
    ),
    "cars": Dataset(
        title="Stanford Cars",
        hub_id="Multimodal-Fatima/StanfordCars_train",
        home="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        license_name="stanford-cars-non-commercial-research",
        terms="Stanford Cars is released for non-commercial research only.",
        shows="cars, cropped to their bounding box and stretched to a square",
        owners="photographs from the web, not to be redistributed",
    ),
}

# Data set by the prefix of an archive's name in the training record: our archives and the original releases.
ARCHIVES = {
    "celeba": "celeba",
    "img_align_celeba": "celeba",
    "svhn": "svhn",
    "train_32x32": "svhn",
    "cars": "cars",
    "stanford_cars": "cars",
}

# metric in the record: (identifier on the Hub, heading)
METRICS = {
    "psnr_hole": ("psnr", "PSNR, hole pixels only (dB)"),
    "psnr_image": ("psnr", "PSNR, whole picture (dB)"),
    "psnr": ("psnr", "PSNR, whole picture (dB)"),
    "ssim": ("ssim", "SSIM, whole picture"),
    "kid": ("kid", "KID x 1000, EfficientNet-Lite2"),
    "c2st": ("c2st", "accuracy of a classifier telling fillings from photographs"),
}


LIMIT = 1e12  # of a score's absolute value; also rejects NaN and infinity


def dataset_of(record: dict[str, Any]) -> Dataset | None:
    """Returns the known data set that a training record names, else None."""
    data = str(record.get("data", "")).lower()
    return next((DATASETS[name] for start, name in ARCHIVES.items() if data.startswith(start)), None)


def check_evaluations(evaluations: Any) -> list[dict[str, Any]]:
    """Returns the `evaluation` of a training record; raises `ModelError` unless it has the following form.

    A list of {"masks": {mask: {metric: number}}, "data": archive, "images": count, "settings": text}.
    """
    if not isinstance(evaluations, list):
        raise ModelError(f"config: training.evaluation is {evaluations!r:.80}, expected a list.")
    for evaluation in evaluations:
        masks = evaluation.get("masks") if isinstance(evaluation, dict) else None
        if not isinstance(masks, dict) or not all(isinstance(scores, dict) for scores in masks.values()):
            raise ModelError(f"config: training.evaluation contains {evaluation!r:.80}, expected scores by mask.")
        for mask, scores in masks.items():
            for metric, value in scores.items():
                if not isinstance(value, (int, float)) or isinstance(value, bool) or not -LIMIT < value < LIMIT:
                    where = f"training.evaluation, mask {mask}"
                    raise ModelError(f"config: {where}: {metric} is {value!r:.80}, expected a number.")
    return evaluations


def eval_results(evaluations: list, dataset: Dataset | None) -> list[EvalResult]:
    """Converts evaluations to the entries of `model-index`; each mask is a configuration of the data set."""
    return [
        EvalResult(
            task_type="image-to-image",
            task_name=f"Inpainting, {mask} mask",
            dataset_type=dataset.hub_id if dataset else plain(evaluation.get("data", "unknown")),
            dataset_name=f"{plain(evaluation.get('data', 'unknown'))}, {mask} mask",
            dataset_config=mask,
            metric_type=METRICS.get(metric, (metric,))[0],
            metric_name=METRICS.get(metric, (metric, metric))[1],
            metric_value=value,
        )
        for evaluation in evaluations
        for mask, scores in evaluation["masks"].items()
        for metric, value in scores.items()
    ]


def plain(value: Any) -> str:
    """Returns one line of text that cannot start a tag, a table cell or a link."""
    return re.sub(r"[|<>\[\]\r\n]+", " ", str(value))[:1000]


def amend_training(folder: Path, **entries: Any) -> None:
    """Updates the training record in a model folder's configuration, atomically."""
    path = folder / CONFIG_NAME
    config = json.loads(path.read_text(encoding="utf-8"))
    config["training"].update(entries)
    files.write_text(path, json.dumps(config, indent=2) + "\n")


def images_seen(training: dict[str, Any]) -> int:
    """Returns how many images a model was trained on, counting those before its run `--start`ed from another model."""
    return training.get("images_seen", 0) + training.get("images_seen_before", 0)
