"""What visitors of the page do: each function is one thing, done by a visitor as a seeded generator draws it.

Each raises AssertionError when the page did not answer as it should.
"""

import io
import json
import random
from collections.abc import Callable

import numpy as np
from PIL import Image

from inpainter import masks
from page.models import MODELS
from page.runs.scene import pack

from .visiting import Visitor

PHOTOS = {  # format, side lengths
    "photo.jpg": ("JPEG", (4000, 3000)),
    "photo.png": ("PNG", (1500, 1200)),
    "photo.webp": ("WEBP", (900, 1400)),
    "photo.tif": ("TIFF", (640, 480)),
    "photo.gif": ("GIF", (300, 500)),
}


class Left(Exception):
    """The visitor leaves in the middle."""


def scene(draw: random.Random, model: str = "", **settings) -> dict:
    """A scene that no two visitors share: an example with a blob that was drawn."""
    offer = MODELS[model or draw.choice(list(MODELS))]
    picture = {"picture": f"example:{draw.choice(offer.examples).name}", "square": None}
    hole = masks.pattern(offer.size, seed=draw.randrange(2**31))
    return {"model": offer.name, **picture, "hole": pack(hole), "preset": "", "settings": settings}


def run(visitor: Visitor, draw: random.Random) -> None:
    """Fills a scene, with whatever settings."""
    settings = draw.choice([{}, {"mode": "paper", "steps": 100}, {"candidates": 4}, {"norm": "l2", "window": None}])
    finished(visitor, scene(draw, **settings))


def finished(visitor: Visitor, asked: dict, effort: str = "run") -> None:
    *_, last = visitor.fill(asked, effort)
    if last["state"] != "done":
        raise AssertionError(last["text"])


def strokes(visitor: Visitor, draw: random.Random) -> None:
    """Draws: several scenes in a row, of which each supersedes the one before."""
    for _ in range(3):
        finished(visitor, scene(draw), "live")


def stop(visitor: Visitor, draw: random.Random) -> None:
    """Presses Stop in the middle of a long search, and is shown what was found."""
    for answer in visitor.fill(scene(draw, mode="paper")):
        if answer.get("step", 0) > 30:
            visitor.send("stop_run", str(visitor.number + 1)).raise_for_status()
    if answer["state"] != "done":
        raise AssertionError(answer["text"])


def close(visitor: Visitor, draw: random.Random) -> None:
    """Closes the tab in the middle of a long search."""
    for answer in visitor.fill(scene(draw, mode="paper")):
        if answer.get("step", 0) > 30:
            raise Left


def photo(visitor: Visitor, draw: random.Random) -> None:
    """Brings a photo, fills it and downloads the result."""
    name = draw.choice(list(PHOTOS))
    (path,) = visitor.upload(name, picture_file(name, draw)).raise_for_status().json()
    asked = scene(draw)
    (told,) = visitor.last("take_photo", json.dumps({"ticket": 1, "model": asked["model"], "path": path}), None)
    told = json.loads(told)
    finished(visitor, asked | {"picture": f"photo:{told['token']}", "square": told["square"]})
    wanted = {"ticket": 2, "what": draw.choice(["best", "all", "mask"]), "scene": f"s{visitor.number}", "chosen": 0}
    (file,) = visitor.last("deliver", json.dumps(wanted), None)
    address = f"/gradio_api/file={json.loads(file)['path']}"
    if not visitor.http.get(address).raise_for_status().content:
        raise AssertionError("the download is empty")


def picture_file(name: str, draw: random.Random) -> bytes:
    """A smooth picture with some noise, as the file of a camera would be."""
    kind, (width, height) = PHOTOS[name]
    noise = np.random.default_rng(draw.randrange(2**31))
    small = Image.fromarray(noise.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def api(visitor: Visitor, draw: random.Random) -> None:
    """Calls /inpaint as a program does."""
    (path,) = visitor.upload("a.png", picture_file("photo.gif", draw)).raise_for_status().json()
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    values = [picture, "pattern", None, draw.randrange(1000), "left", "dcgan-celeba", "fast", 50, 0.003, "poisson"]
    filled, details = visitor.last("inpaint", *values, draw.randrange(1000), 1, 0, -1, "l1")
    if not details["context_loss"] > 0 or not visitor.http.get(filled["url"]).raise_for_status().content:
        raise AssertionError(details)


def garbage(visitor: Visitor, draw: random.Random) -> None:
    """Sends what nobody should; anything but a clear refusal counts as a failure."""
    what = draw.randrange(6)
    if what == 0:  # no picture, or half of one
        data = draw.choice([b"no picture", picture_file("photo.jpg", draw)[:5000], b""])
        (path,) = visitor.upload("a.jpg", data).raise_for_status().json()
        (told,) = visitor.last("take_photo", json.dumps({"ticket": 1, "model": "dcgan-celeba", "path": path}), None)
        refused = "error" in json.loads(told)
    elif what == 1:
        refused = visitor.upload("a.png", bytes(65 * 2**20)).status_code == 413
    elif what == 2:
        *_, last = visitor.fill(scene(draw) | draw.choice([{"model": []}, {"hole": "?"}, {"settings": {"steps": -1}}]))
        refused = last["state"] == "failed"
    elif what == 3:
        refused = visitor.http.post("/gradio_api/queue/join", content=b"{" * 50_000).status_code == 422
    elif what == 4:
        answer = visitor.http.post("/gradio_api/queue/join", json=visitor.body("fill", ()) | {"fn_index": 999})
        refused = 400 <= answer.status_code < 500
    else:
        address = draw.choice(["/gradio_api/file=/etc/passwd", "/gradio_api/run/fill", "/file=../../app.py"])
        refused = visitor.http.get(address).status_code in (403, 404, 405)
    if not refused:
        raise AssertionError(f"garbage of kind {what} was not refused")


ACTIONS: dict[Callable, int] = {run: 4, strokes: 4, stop: 2, close: 2, photo: 4, api: 2, garbage: 4}
