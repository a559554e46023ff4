"""Model cards: the README.md of a model folder, generated from the model's training record.

Everything comes from `config.json` (its `training` record, including the `evaluation` list) and from the model's
tensors, so a card cannot contradict its model.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData

from .. import files
from ..models import Encoder, LatentModel, ModelError
from .finding import load, load_encoder
from .plain import plain_torch
from .records import DATASETS, METRICS, Dataset, check_evaluations, dataset_of, eval_results, plain
from .wording import BACKBONE, BETTER, CITATIONS, SUMMARIES, SUMMARY

CARD_NAME = "README.md"
SAMPLES_NAME = "samples.png"


def write_card(
    folder: str | Path, repo_id: str | None = None, license: str | None = None, *, name: str | None = None
) -> Path:
    """Writes a model folder's card, replacing any older one, and returns its path.

    Args:
        folder: a model folder that loads.
        repo_id: Hub id used in the code examples, default "user/" plus the folder's name.
        license: licence identifier on the Hub, such as "cc-by-4.0". Default: the terms of the training data if known,
            else "unknown".
        name: the title, default the folder's name.

    Raises:
        ModelError: if the model cannot be loaded, or its training record is malformed.
    """
    folder = Path(folder)
    model = load(folder)
    shown = {"samples": (folder / SAMPLES_NAME).is_file(), "encoder": load_encoder(folder, model)}
    text = make_card(model, name or folder.resolve().name, repo_id, license, **shown)
    files.write_text(folder / CARD_NAME, text)
    return folder / CARD_NAME


def make_card(
    model: LatentModel,
    name: str,
    repo_id: str | None = None,
    license: str | None = None,
    *,
    samples: bool = True,
    encoder: Encoder | None = None,
) -> str:
    """Returns the text of a model card: Hub metadata in YAML, then the page.

    Args:
        model: the model; `config.training` is its training record.
        name: the model's name, used as the title.
        repo_id, license: as for `write_card`.
        samples: whether there is a `samples.png` to show.
        encoder: the model's encoder, if it has one.

    Raises:
        ModelError: if the training record is malformed.
    """
    record = model.config.training
    repo_id = repo_id or f"user/{name}"
    dataset = dataset_of(record)
    evaluations = check_evaluations(record.get("evaluation", []))
    data = _metadata(model, name, dataset, evaluations, license)
    sections = [
        f"---\n{data.to_yaml()}\n---\n\n# {plain(name)}\n",
        _summary(model, dataset, samples),
        _scores(evaluations),
        _sample_quality(record),
        _use(model, repo_id),
        _intended_use(model, dataset),
        _training(model, dataset),
        _encoder(encoder) if encoder else "",
        _licence(model, dataset, license),
        CITATIONS["paper"] + CITATIONS.get(model.config.family, "") + "```\n",
    ]
    return "\n".join(section for section in sections if section)


def read_card(folder: str | Path) -> ModelCard:
    """Reads a model folder's card; raises `ModelError` if it is missing or incomplete.

    A complete card has the Hub's metadata (library, pipeline tag, tags, licence, a well-formed `model-index`) and a
    page whose pictures all exist.
    """
    path = Path(folder, CARD_NAME)
    try:
        card = ModelCard.load(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = "no such file" if not path.is_file() else " ".join(str(error).split())
        raise ModelError(f"{path}: not a model card that the Hub can read ({reason}).") from error
    missing = [key for key in ("library_name", "pipeline_tag", "tags", "license") if not card.data.get(key)]
    if card.data.get("license") == "other":
        missing += [key for key in ("license_name", "license_link") if not card.data.get(key)]
    if missing:
        raise ModelError(f"{path}: the model card's metadata lacks {', '.join(missing)}.")
    if not card.text.strip():
        raise ModelError(f"{path}: the model card has metadata but no text.")
    for picture in local_pictures(card.text):
        if not Path(folder, picture).is_file():
            raise ModelError(f"{path}: the model card shows {picture}, which is not in the folder.")
    return card


def local_pictures(text: str) -> list[str]:
    """Returns the paths of the local pictures that a Markdown page shows."""
    return [path for path in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text) if "://" not in path]


def check_scores(card: ModelCard, record: dict[str, Any], folder: str | Path) -> None:
    """Raises `ModelError` unless the card reports every score in the model's record."""
    expected = eval_results(check_evaluations(record.get("evaluation", [])), dataset_of(record))
    missing = [result for result in expected if result not in (card.data.eval_results or [])]
    if missing:
        name, mask = missing[0].metric_name, missing[0].dataset_config
        raise ModelError(f"{folder}: the card lacks the recorded {name} for mask {mask}; regenerate the card.")


def _metadata(
    model: LatentModel, name: str, dataset: Dataset | None, evaluations: list, license: str | None
) -> ModelCardData:
    if license:
        licence = {"license": license}
    elif dataset:
        licence = {"license": "other", "license_name": dataset.license_name, "license_link": dataset.home}
    else:
        licence = {"license": "unknown"}
    results = eval_results(evaluations, dataset)
    return ModelCardData(
        **licence,
        library_name="inpainter",
        pipeline_tag="image-to-image",
        tags=[
            "image-inpainting",
            "inpainting",
            *(["gan"] if model.config.family in ("comod", "dcgan") else []),
            model.config.family,
            *([] if model.config.family == "comod" else ["unconditional-image-generation"]),
            "pytorch",
        ],
        datasets=[dataset.hub_id] if dataset else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=name if results else None,  # names the `model-index`; not a key of its own
        eval_results=results or None,
    )


def _summary(model: LatentModel, dataset: Dataset | None, samples: bool) -> str:
    size = model.config.image_size
    shows = f" of {dataset.shows} ({dataset.title})" if dataset else ""
    tensors = model.state_dict().items()
    count = sum(tensor.numel() for name, tensor in tensors if name.endswith(("weight", "bias", "position")))
    text = f"A generator of {size}x{size} images{shows}, and a prior that scores them: {count:,} parameters, float16.\n"
    text += SUMMARIES.get(model.config.family, SUMMARY) + (BACKBONE if getattr(model.config, "backbone", False) else "")
    drawn = "Fillings or samples" if model.conditional else "Samples"
    return text + (f"\n![{drawn} of the generator, not selected]({SAMPLES_NAME})\n" if samples else "")


def _scores(evaluations: list) -> str:
    parts = []
    for evaluation in evaluations:
        metrics = list(dict.fromkeys(metric for scores in evaluation["masks"].values() for metric in scores))
        rows = [
            [mask, *(f"{scores[metric]:.4g}" if metric in scores else "" for metric in metrics)]
            for mask, scores in evaluation["masks"].items()
        ]
        table = _table(["mask", *(METRICS.get(metric, ("", metric))[1] for metric in metrics)], rows)
        settings = [f"{plain(key.replace('_', ' '))} {plain(evaluation[key])}" for key in evaluation if key != "masks"]
        parts.append(f"{BETTER} Measured with: {', '.join(settings)}.\n\n{table}")
    return "## Scores\n\n" + "\n".join(parts) if parts else ""


def _sample_quality(record: dict[str, Any]) -> str:
    quality = record.get("sample_quality", {})
    if not isinstance(quality, dict):
        raise ModelError(f"config: training.sample_quality is {quality!r:.80}, expected an object.")
    if not quality:
        return ""
    return (
        "## Sample quality\n\n"
        "Distances between features of pictures. Lower feature distance is better; that of training pictures is the\n"
        "floor. Diversity is relative to training pictures. Memorisation is the distance to the nearest training\n"
        "picture relative to that of held-out pictures (near 0: copies).\n\n"
        + _table(["measure", "value"], [[key.replace("_", " "), value] for key, value in quality.items()])
    )


def _use(model: LatentModel, repo_id: str) -> str:
    lines = plain_torch(model.config)
    text = (
        "## How to use\n\nWith the `inpainter` package:\n\n```python\n"
        "from PIL import Image\nfrom inpainter import Inpainter, masks\n\n"
        f'model = Inpainter.from_pretrained("{repo_id}")\n'
        f'result = model(Image.open("photo.png"), masks.center({model.config.image_size}))\n'
        'Image.fromarray(result.images[0]).save("filled.png")\n```\n'
    )
    if lines:
        text += (
            "\nWithout it, in plain PyTorch (generator only):\n\n"
            f"```python\n{lines.replace('REPO_ID', repo_id)}```\n\n"
            "`((images + 1) / 2).clamp(0, 1)` gives colours in [0, 1].\n"
        )
    return text


def _intended_use(model: LatentModel, dataset: Dataset | None) -> str:
    size = model.config.image_size
    kind = dataset.shows if dataset else "pictures like its training data"
    people = (
        "\n- The faces are invented: never use a filled picture to identify a person or as evidence of anything."
        "\n- It inherits the biases of its data: mostly young, well-lit, frontal faces of celebrities."
        if dataset is DATASETS["celeba"]
        else ""
    )
    return (
        "## Intended use and limitations\n\n"
        f"For research and teaching: filling holes in {kind}, and studying the method.\n\n"
        f"- It works at {size}x{size} pixels; other pictures are cropped to the centre square and resized.\n"
        "- It does poorly on pictures unlike its training data (other subjects, other framing).\n"
        "- A filling is plausible at best; it never recovers what was really there.\n"
        f"- Large holes and unusual views often come out blurred or distorted.{people}\n"
    )


def _encoder(encoder: Encoder) -> str:
    return (
        "## Encoder\n\n`encoder/` holds a network that maps a damaged picture and its hole to the starting code of a\n"
        "fast search. It is optional and works only with this generator.\n\n"
        + _table(["setting", "value"], _settings(encoder.config.training))
    )


def _settings(record: dict[str, Any]) -> list[list[Any]]:
    """Returns table rows of a record's entries, except scores."""
    return [
        [key.replace("_", " "), ", ".join(value) or "none" if isinstance(value, list) else value]
        for key, value in record.items()
        if key != "evaluation" and (isinstance(value, (str, int, float, bool)) or _is_names(value))
    ]


def _training(model: LatentModel, dataset: Dataset | None) -> str:
    rows = _settings(model.config.training)
    holes = "with" if model.config.family == "comod" else "without"
    source = f"Trained on images from [{dataset.title}]({dataset.home}), {holes} holes.\n\n" if dataset else ""
    table = _table(["setting", "value"], rows) if rows else "There is no training record.\n"
    return f"## Training\n\n{source}{table}"


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _licence(model: LatentModel, dataset: Dataset | None, license: str | None) -> str:
    weights = f"Licence of the weights: {license}. " if license else ""
    if dataset:
        terms = f"{dataset.terms} See {dataset.home}."
        pictures = f"The pictures in `examples/`, if any, belong to others: {dataset.owners}."
    else:
        terms = "The terms of the training data are not recorded; ask the owner before use."
        pictures = "The pictures in `examples/`, if any, belong to their authors."
    if model.conditional:  # training saves a sheet of held-out pictures, intact and filled
        drawn = "`samples.png` may also show pictures of the data, intact and filled, which belong to the same people."
    else:
        drawn = "`samples.png` shows only samples from the model."
    return f"## Licence\n\n{weights}{terms}\n\n{pictures}\n{drawn} The code that runs the model is under Apache-2.0.\n"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(plain(cell) for cell in line) + " |\n" for line in lines)
