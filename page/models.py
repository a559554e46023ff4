"""The models that the page offers: every folder below hub_models/ with a configuration."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inpainter import Inpainter
from inpainter.models.base import CONFIG_NAME

from . import editor

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


def first_photo(name: str) -> NDArray[np.uint8]:
    """The picture to begin with, uint8 (H, W, 3): a model's first example, or else a sample of it."""
    if examples := examples_of(name):
        return editor.read_photo(examples[0])
    model = model_named(name)
    nothing = np.zeros((model.size, model.size, 3), dtype=np.uint8)
    return model(nothing, np.ones((model.size, model.size), dtype=bool), steps=0).images[0]
