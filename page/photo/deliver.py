"""What a visitor takes home: the filled picture at the best size there is, its mask, everything in one archive."""

import dataclasses
import io
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from PIL import Image

from inpainter.blending import paste_back
from inpainter.reading import read_image

from ..errors import sentence
from ..pixels import mask_picture, png
from ..runs.outcome import Outcome
from .store import decoding, scaled

ENLARGED = 4  # times, for a picture that has no more pixels than the model
VIEW = 768  # pixels a side of a filled photo's frame on the screen
BLENDS = ("poisson", "overlay")


def own_folder() -> Path:
    """A new folder for one visitor's file, readable by this process alone."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))


def deliver(asked: str, outcome: Outcome | None) -> str:
    """Writes the one file that was asked for.

    Args:
        asked: {ticket, what, scene, chosen} as JSON; what is "best", "mask" or "all".

    Returns:
        {ticket, path, name}, or {ticket, error} with one sentence, as JSON.
    """
    fields = json.loads(asked)
    try:
        if outcome is None or outcome.result is None or outcome.id != fields["scene"]:
            raise ValueError("This scene is not filled yet: press Run, then download.")
        name, data = _file(str(fields["what"]), outcome, min(max(0, int(fields["chosen"])), outcome.rows - 1))
        path = own_folder() / name
        path.write_bytes(data)
        answer = {"path": str(path), "name": name}
    except Exception as error:  # the browser waits for an answer
        answer = {"error": sentence(error)}
    return json.dumps({"ticket": fields.get("ticket")} | answer)


def _file(what: str, outcome: Outcome, chosen: int) -> tuple[str, bytes]:
    title = outcome.scene.title or "picture"
    match what:
        case "best":
            return f"{title}-filled.png", png(best(outcome, chosen))
        case "mask":
            return "mask.png", png(mask_picture(outcome.scene.hole))
        case "all":
            return f"{title}.zip", archive(outcome)
    raise ValueError(f"There is no download {what!r:.40}.")


def best(outcome: Outcome, chosen: int) -> NDArray[np.uint8]:
    """A filled picture at the best size: the photo at its full resolution, or else the picture enlarged."""
    scene = outcome.scene
    filled = outcome.filled(chosen)
    if scene.photo is None or (scene.photo.width, scene.photo.height) == filled.shape[1::-1]:
        side = ENLARGED * len(filled)
        return np.asarray(Image.fromarray(filled).resize((side, side), Image.Resampling.BICUBIC))
    if not scene.photo.path.is_file():
        raise ValueError("Your photo is no longer here, as files are kept for a day: upload it again.")
    with decoding():
        photo = np.asarray(read_image(scene.photo.path))
        blend = scene.choice.settings.blend
        return paste_back(photo, scene.square, outcome.result.generated[outcome.row(chosen)], scene.hole, blend)


def view(outcome: Outcome, chosen: int) -> NDArray[np.uint8] | None:
    """The frame of a filled photo for the screen, uint8 (side, side, 3); None where the model's pixels are all."""
    scene = outcome.scene
    if scene.photo is None:
        return None
    photo = scene.photo.pixels()
    square = scaled(scene.square, scene.photo.width, scene.photo.height, photo.shape)
    if square.side <= len(scene.picture):
        return None
    row = outcome.row(chosen)
    part = paste_back(photo, square, outcome.result.generated[row], scene.hole, scene.choice.settings.blend)[
        square.slices
    ]
    image = Image.fromarray(part)
    image.thumbnail((VIEW, VIEW))
    return np.asarray(image)


def archive(outcome: Outcome) -> bytes:
    """Everything a fill was made of and has led to, as a zip file."""
    scene, result = outcome.scene, outcome.result
    files = {
        "damaged.png": png(outcome.damaged),
        "original.png": png(scene.picture),
        "mask.png": png(mask_picture(scene.hole)),
    }
    searches = []
    composed = {blend: result.compose(blend) for blend in BLENDS}
    for number, row in enumerate(outcome.order):
        folder = f"candidate-{number + 1}/" if outcome.rows > 1 else ""
        for blend, filled in composed.items():
            files[f"{folder}filled-{blend}.png"] = png(filled[row])
        files[f"{folder}generated.png"] = png(result.generated[row])
        searches.append(
            {
                "candidate": number + 1,
                "seed": scene.choice.settings.seed + row,
                "context_loss": float(result.context_loss[row]),
                "prior_loss": float(result.prior_loss[row]),
            }
        )
    record = {"model": scene.model, "steps_done": result.steps, "settings": dataclasses.asdict(result.settings)}
    files["losses.json"] = (json.dumps(record | {"searches": searches}, indent=2) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
    return buffer.getvalue()
