"""The files that a visitor takes home, and pictures as files within a page."""

import base64
import dataclasses
import io
import json
import zipfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .outcomes import Outcome


def downloads(outcome: Outcome, chosen: int) -> str:
    """Links to the chosen candidate's result, the mask and all pictures; the files are inside the links."""
    links = [
        ("Download the result", "filled.png", png(outcome.result.images[chosen]), "image/png"),
        ("the mask", "mask.png", png(mask_picture(outcome.hole)), "image/png"),
        ("everything", "inpainter.zip", archive(outcome), "application/zip"),
    ]
    anchors = "".join(
        f'<a download="{name}" href="{data_uri(data, kind)}">{text}</a>' for text, name, data, kind in links
    )
    return f'<p class="downloads">{anchors}</p>'


def archive(outcome: Outcome) -> bytes:
    """Everything a run was made of and has led to, as a zip file."""
    result, settings = outcome.result, outcome.settings
    files = {
        "damaged.png": png(outcome.damaged),
        "original.png": png(outcome.picture),
        "mask.png": png(mask_picture(outcome.hole)),
    }
    composed = {blend: result.compose(blend) for blend in ("poisson", "overlay")}
    searches = []
    for row in range(len(result.images)):
        weight, candidate = outcome.prior_weight(row), outcome.candidate(row)
        folder = f"candidate-{candidate + 1}/" if settings.candidates > 1 else ""
        suffix = "" if weight or len(settings.prior_weights) == 1 else "-no-prior"
        for blend, filled in composed.items():
            files[f"{folder}filled-{blend}{suffix}.png"] = png(filled[row])
        files[f"{folder}generated{suffix}.png"] = png(result.generated[row])
        searches.append(
            {
                "candidate": candidate + 1,
                "seed": settings.seeds[candidate],
                "prior_weight": weight,
                "context_loss": float(result.context_loss[row]),
                "prior_loss": float(result.prior_loss[row]),
            }
        )
    record = {
        "model": outcome.model,
        "steps_done": outcome.steps_done,
        "settings": dataclasses.asdict(settings),
        "searches": searches,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
        out.writestr("losses.json", json.dumps(record, indent=2) + "\n")
    return buffer.getvalue()


def mask_picture(hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A hole as a picture, white = missing: uint8 (H, W, 3)."""
    return np.repeat(hole[..., None] * np.uint8(255), 3, axis=2)


def png(image: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
