"""What is to be filled: a picture, its hole, a model and settings, as the browser describes them."""

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inpainter import images
from inpainter.blending import Square
from inpainter.reading import read_image

from ..models import Offer, offer_named, sample_picture
from ..photo.store import PHOTOS, Photo
from ..settings import Choice

EFFORTS = ("live", "run")
SAMPLE = "sample"  # the only example of a model that comes without
LONGEST = 100_000  # characters of a description


@dataclass(frozen=True)
class Scene:
    """A scene with its pixels. Two scenes are the same when their keys are."""

    model: str
    picture: NDArray[np.uint8]  # (size, size, 3), intact
    hole: NDArray[np.bool_]  # (size, size), True = missing
    choice: Choice
    preset: str = ""  # the paper's mask that the hole is, as "pattern:2"; empty for a drawn one
    source: str = ""  # "example:NAME" or "photo:TOKEN"
    photo: Photo | None = None  # where the picture is a square of one
    square: Square | None = None

    @property
    def key(self) -> tuple:
        return self.model, self.source, self.square, self.hole.tobytes(), self.choice

    @property
    def title(self) -> str:
        """The name of the picture, without its ending."""
        return Path(self.photo.name if self.photo else self.source.partition(":")[2]).stem


@dataclass(frozen=True)
class Asked:
    """One request of a browser: fill this scene. `number` grows with every request of a visitor."""

    id: str  # of the scene, as the browser made it; every answer carries it
    number: int
    effort: str  # "live" or "run"
    fields: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, in one sentence, for what no browser sends."""
        try:
            fields = json.loads(text) if len(text) <= LONGEST else None
            asked = cls(str(fields["id"])[:40], int(fields["number"]), str(fields["effort"]), fields["scene"])
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            raise ValueError("The scene to fill could not be read: reload the page.") from error
        if asked.effort not in EFFORTS or not isinstance(asked.fields, dict):
            raise ValueError(f"The effort must be one of {', '.join(EFFORTS)}, and the scene an object.")
        return asked

    def scene(self) -> Scene:
        """Reads the picture; raises ValueError, in one sentence, where there is none."""
        return scene_of(self.fields)

    def scene_to_fill(self) -> Scene:
        """As `scene`; raises ValueError where nothing is missing, too."""
        scene = self.scene()
        if not scene.hole.any():
            raise ValueError("Nothing is missing yet: draw over the part to fill, or choose a hole.")
        return scene


def scene_of(fields: dict[str, Any]) -> Scene:
    """The scene that the browser describes as {model, picture, square, hole, preset, settings}."""
    offer = offer_named(fields.get("model"))
    hole = unpack(fields.get("hole"), offer.size)
    choice = Choice.from_fields(fields.get("settings", {}))
    source, preset = str(fields.get("picture", "")), str(fields.get("preset") or "")
    kind, _, name = source.partition(":")
    if kind == "example":
        return Scene(offer.name, _example(offer, name), hole, choice, preset, source)
    photo = PHOTOS.find(name)
    square = photo.square(fields.get("square"))
    return Scene(offer.name, photo.crop(square, offer.size, hole), hole, choice, preset, source, photo, square)


def _example(offer: Offer, name: str) -> NDArray[np.uint8]:
    if not offer.examples and name == SAMPLE:
        return sample_picture(offer.name)
    path = next((path for path in offer.examples if path.name == name), None)
    if path is None:
        raise ValueError(f"There is no example {name!r:.40} of {offer.name}.")
    picture = np.asarray(read_image(path))
    return images.fit(picture, np.zeros(picture.shape[:2], dtype=bool), offer.size)[0]


def pack(hole: NDArray[np.bool_]) -> str:
    """A hole (size, size) as the browser holds it: base64 of its bits, row by row."""
    return base64.b64encode(np.packbits(hole)).decode()


def unpack(text: Any, size: int) -> NDArray[np.bool_]:
    """The hole bool (size, size) of `pack`; raises ValueError for anything else."""
    try:
        bits = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ValueError("The hole could not be read: it must be packed bits in base64.") from error
    if len(bits) != -(-size * size // 8):
        raise ValueError(f"The hole could not be read: {size}x{size} bits are expected.")
    return np.unpackbits(bits, count=size * size).reshape(size, size).astype(bool)
