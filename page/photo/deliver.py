"""Downloads: the filled picture at the best available size, its mask, or everything in one archive."""

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

from inpainter.blending import BLENDS, paste_back
from inpainter.reading import read_image

from ..errors import sentence
from ..pixels import mask_picture, png
from ..runs.outcome import Outcome
from .store import decoding, scaled

ENLARGED = 4  # enlargement factor of a picture of the model's size
VIEW = 768  # side in pixels of a filled photo's frame on the screen


def own_folder() -> Path:
    """Creates a folder for one visitor's file, readable by this process alone."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))


def deliver(asked: str, outcome: Outcome | None) -> str:
    """Writes the requested file.

    Args:
        asked: {ticket, what, scene, chosen} as JSON; `what` is "best", "mask" or "all".

    Returns:
        {ticket, path, name}, or {ticket, error} with one sentence, as JSON.
    """
    fields = json.loads(asked)
    try:
        if outcome is None or outcome.result is None or outcome.id != fields["scene"]:
            raise ValueError("This scene is not filled yet: press Run, then Download.")
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
    """Returns a filled picture at its best size: a photo at full resolution, any other picture enlarged."""
    scene = outcome.scene
    filled = outcome.filled(chosen)
    if scene.photo is None or (scene.photo.width, scene.photo.height) == filled.shape[1::-1]:
        side = ENLARGED * len(filled)
        return np.asarray(Image.fromarray(filled).resize((side, side), Image.Resampling.BICUBIC))
    if not scene.photo.path.is_file():
        raise ValueError("Your photo has been deleted, because files are kept for a day: upload it again.")
    with decoding():
        photo = np.asarray(read_image(scene.photo.path))
        result = outcome.result
        return paste_back(photo, scene.square, result.generated[outcome.row(chosen)], scene.hole, result.settings.blend)


def view(outcome: Outcome, chosen: int) -> NDArray[np.uint8] | None:
    """Returns a filled photo's frame for the screen, uint8 (side, side, 3); None if the model's size suffices."""
    scene = outcome.scene
    if scene.photo is None:
        return None
    photo = scene.photo.pixels()
    square = scaled(scene.square, scene.photo.width, scene.photo.height, photo.shape)
    if square.side <= len(scene.picture):
        return None
    generated = outcome.result.generated[outcome.row(chosen)]
    filled = paste_back(photo, square, generated, scene.hole, outcome.result.settings.blend)
    image = Image.fromarray(filled[square.slices])
    image.thumbnail((VIEW, VIEW))
    return np.asarray(image)


def archive(outcome: Outcome) -> bytes:
    """Packs the inputs, settings and results of a fill into a zip file."""
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
