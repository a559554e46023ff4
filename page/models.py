"""The models that the page offers: every folder below hub_models/ with a configuration."""

from functools import cache
from pathlib import Path

from inpainter import Inpainter
from inpainter.models.base import CONFIG_NAME

FOLDER = Path(__file__).parent.parent / "hub_models"
MODELS = {config.parent.name: config.parent for config in sorted(FOLDER.glob(f"*/{CONFIG_NAME}"))}


@cache
def model_named(name: str) -> Inpainter:
    """Loads each model once, whoever asks. Raises ValueError for an unknown name or a broken model."""
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r} here; the models are {', '.join(MODELS)}.")
    return Inpainter.from_pretrained(MODELS[name])


def examples_of(name: str) -> list[str]:
    """Paths of the held-out pictures that come with a model, by name."""
    return sorted(map(str, MODELS[name].glob("examples/*.png")))
