"""Accepts a visitor's picture and frames the part that the model should see."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from inpainter.blending import Square, faces

from ..errors import sentence
from ..models import knows_faces, offer_named
from ..runs.outcome import Outcome
from .deliver import own_folder
from .store import PHOTOS, Photo

FOUND = "The face was found and framed like the examples."
EYES_GUESSED = "A face was found, but not its eyes: check the frame."
NO_FACE = "No face was found: frame it like the examples, or the filling will not fit."
MOVE = "Frame your picture like the examples: the model knows nothing else."


def take_photo(asked: str, outcome: Outcome | None) -> str:
    """Accepts an uploaded picture, or a filled one to use as input, and describes it to the browser.

    Args:
        asked: {ticket, model, path} of an upload, or {ticket, model, result} with a candidate's number, as JSON.

    Returns:
        {ticket, token, path, width, height, square, note}, or {ticket, error} with one sentence, as JSON.
    """
    fields = json.loads(asked)
    try:
        answer = describe(_bring(fields, outcome), offer_named(fields.get("model")).name)
    except Exception as error:  # the browser waits for an answer
        answer = {"error": sentence(error)}
    return json.dumps({"ticket": fields.get("ticket")} | answer)


def _bring(fields: dict[str, Any], outcome: Outcome | None) -> Photo:
    if "path" in fields:
        path = Path(str(fields["path"])).resolve()
        if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
            raise ValueError("The upload was not found: choose the picture again.")
        return PHOTOS.add(path)
    if outcome is None or outcome.result is None:
        raise ValueError("There is no result to use yet: press Run first.")
    path = own_folder() / "filled.png"
    Image.fromarray(outcome.filled(min(max(0, int(fields["result"])), outcome.rows - 1))).save(path, compress_level=1)
    return PHOTOS.add(path, f"{outcome.scene.title}-filled.png")


def describe(photo: Photo, model: str) -> dict[str, Any]:
    """Describes a photo and its initial frame to the browser."""
    size = offer_named(model).size
    exact = photo.width == photo.height == size
    square, note = (photo.square(None), "") if exact else frame(photo, model)
    if not exact:
        note = f"{photo.width}x{photo.height} pixels; the model sees what is in the frame. {note}"
    return {
        "token": photo.token,
        "path": str(photo.reduced),
        "width": photo.width,
        "height": photo.height,
        "square": [square.left, square.top, square.side],
        "note": note,
    }


def frame(photo: Photo, model: str) -> tuple[Square, str]:
    """Returns the initial frame of a photo for a model, and a sentence about it."""
    if not knows_faces(model):
        return photo.square(None), MOVE
    pixels = photo.pixels()
    try:
        face = faces.find_face(pixels)
    except ValueError as error:  # OpenCV is missing: the frame can still be moved by hand
        return photo.square(None), str(error)
    if face is None:
        return photo.square(None), NO_FACE
    small = faces.frame(face, *pixels.shape[1::-1])
    ratio = photo.width / pixels.shape[1]
    square = photo.square(np.array([small.left, small.top, small.side]) * ratio)
    return square, EYES_GUESSED if face.guessed else FOUND
