"""The models that the page offers: every folder in hub_models/ with a configuration, grouped by subject."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inpainter import Inpainter
from inpainter.images import to_uint8
from inpainter.models.base import CONFIG_NAME

BUNDLED = Path(__file__).parent.parent / "hub_models"
FOLDER = Path(os.environ.get("INPAINTER_MODELS", BUNDLED))  # INPAINTER_MODELS overrides the bundled models
PORTRAIT = Path(__file__).parent / "assets" / "astronaut.jpg"
CONTEXT_ENCODER = "context-encoder-"  # prefix of folders with context encoders, used only for comparison
SUBJECTS = {"celeba": "Faces", "svhn": "House numbers", "cars": "Cars"}
VARIED = ("comod",)  # families whose fillings of one hole differ visibly


@dataclass(frozen=True)
class Offer:
    """A model as the page offers it, before its weights are loaded."""

    name: str
    folder: Path
    size: int  # side of its pictures in pixels
    family: str
    subject: str  # what its pictures show, in plain words

    @property
    def candidates(self) -> int:
        """Default number of candidates."""
        return 4 if self.family in VARIED else 1

    @property
    def examples(self) -> list[Path]:
        """The model's held-out example pictures, by name; a face model without any gets a public-domain portrait."""
        own = sorted(self.folder.glob("examples/*.png"))
        return own or ([PORTRAIT] if self.subject == SUBJECTS["celeba"] else [])

    @property
    def samples(self) -> Path | None:
        """The model's grid of samples, if there is one."""
        path = self.folder / "samples.png"
        return path if path.is_file() else None


def offers_in(folder: Path) -> dict[str, Offer]:
    """Returns the models in a folder by name: faces first, and each subject's default model first."""
    found = [_offer(config) for config in folder.glob(f"*/{CONFIG_NAME}")]
    found = [offer for offer in found if not offer.name.startswith(CONTEXT_ENCODER)]
    order = list(SUBJECTS.values())

    def rank(offer: Offer) -> tuple:
        known = order.index(offer.subject) if offer.subject in order else len(order)
        return known, offer.family not in VARIED, -offer.size, offer.name

    return {offer.name: offer for offer in sorted(found, key=rank)}


def _offer(config: Path) -> Offer:
    try:
        facts = json.loads(config.read_text(encoding="utf-8"))
        name, size, family = config.parent.name, int(facts["image_size"]), str(facts["family"])
        data = str((facts.get("training") or {}).get("data", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{config}: not a model configuration ({error!r:.200}).") from error
    subject = next((word for key, word in SUBJECTS.items() if key in f"{data} {name}".lower()), name)
    return Offer(name, config.parent, size, family, subject)


MODELS = offers_in(FOLDER)


def offer_named(name: str) -> Offer:
    """Returns the offer with a name; raises ValueError if it is unknown."""
    if not isinstance(name, str) or name not in MODELS:
        raise ValueError(f"There is no model {name!r:.80}; the models are {', '.join(MODELS)}.")
    return MODELS[name]


@cache
def model_named(name: str) -> Inpainter:
    """Loads a model, once; raises ValueError for an unknown name or a broken model."""
    return Inpainter.from_pretrained(offer_named(name).folder)


def knows_faces(name: str) -> bool:
    """Returns whether a model was trained on aligned faces, so that photos can be framed alike."""
    return offer_named(name).subject == SUBJECTS["celeba"]


def sample_codes(name: str, count: int, seed: int) -> NDArray[np.float32]:
    """Draws random codes of a model: float32 (count, latent_size), determined by the seed alone."""
    return model_named(name).model.sample_latents(count, torch.Generator().manual_seed(seed)).numpy()


@cache
def sample_picture(name: str) -> NDArray[np.uint8]:
    """Returns a sample, uint8 (size, size, 3), as the example of a model that comes without any."""
    model = model_named(name)
    with torch.no_grad():
        return to_uint8(model.model.generate(torch.from_numpy(sample_codes(name, 1, 0)).to(model.device)))[0]
