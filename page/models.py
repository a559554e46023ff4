"""The models that the page offers: every folder below hub_models/ with a configuration."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inpainter import Inpainter
from inpainter.hub.records import dataset_of
from inpainter.models.base import CONFIG_NAME

BUNDLED = Path(__file__).parent.parent / "hub_models"
FOLDER = Path(os.environ.get("INPAINTER_MODELS", BUNDLED))  # another folder of model folders
FIRST = "dcgan-celeba"  # what a visitor begins with, where it is there
CONTEXT_ENCODER = "context-encoder-"  # how folders of networks begin that other methods are compared with


def models_in(folder: Path) -> dict[str, Path]:
    """The model folders in a folder by their names, the first to be offered first."""
    folders = [config.parent for config in folder.glob(f"*/{CONFIG_NAME}")]
    folders = [found for found in folders if not found.name.startswith(CONTEXT_ENCODER)]
    return {found.name: found for found in sorted(folders, key=lambda found: (found.name != FIRST, found))}


MODELS = models_in(FOLDER)


@cache
def model_named(name: str) -> Inpainter:
    """Loads each model once, whoever asks. Raises ValueError for an unknown name or a broken model."""
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r} here; the models are {', '.join(MODELS)}.")
    return Inpainter.from_pretrained(MODELS[name])


def knows_faces(name: str) -> bool:
    """Whether a model has learnt from CelebA's aligned faces, so that photos can be framed as they are."""
    dataset = dataset_of(model_named(name).model.config.training or {})
    return dataset is not None and dataset.title == "CelebA"


def examples_of(name: str) -> list[str]:
    """Paths of the held-out pictures that come with a model, by name."""
    return sorted(map(str, MODELS[name].glob("examples/*.png")))


def samples_of(name: str) -> str | None:
    """Path of the grid of samples that comes with a model; None without one."""
    path = MODELS[name] / "samples.png"
    return str(path) if path.is_file() else None


def sample_codes(name: str, count: int, seed: int) -> NDArray[np.float32]:
    """Random codes of a model: float32 (count, latent_size), decided by the seed alone."""
    codes = model_named(name).model.sample_latents(count, torch.Generator().manual_seed(seed))
    return codes.numpy()
