"""Choosing a picture: an example or a visitor's photo, and the square of it that the model sees.

Each function returns new values of the components named in its docstring, in that order.
"""

import tempfile
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from inpainter.blending import faces, paste_back
from inpainter.images import read_image

from . import editor, views
from .errors import errors_as_messages
from .models import examples_of, knows_faces, model_named, sample_codes, samples_of
from .outcomes import Outcome
from .photo import Photo, Place, crop, place_of, read_photo, square_at
from .runs import generate

WHOLE: Place = (1, 50, 50)
OVERVIEW_SIDE = 320  # pixels

PHOTO_NOTE = "The model sees the square marked in your {width}x{height} picture, {size}x{size} pixels of it."
FOUND = "The face was found and framed as the examples are; move the square if it is not quite right."
EYES_GUESSED = "The face was found, but not its eyes: check that the square frames it as the examples are framed."
NO_FACE = "No face was found: move the square until yours is framed like the examples, or the filling will not fit."
MOVE = "Move the square until your picture is framed like the examples: they are what the model has learnt from."


def first_photo(name: str) -> Photo:
    """The picture to begin with: a model's first example, or else a sample of it."""
    if examples := examples_of(name):
        return read_photo(examples[0])
    image = generate(name, sample_codes(name, 1, seed=0))[0]
    return Photo("", *image.shape[1::-1], image)


def take_example(name: str, strokes: str, event: gr.SelectData):
    """A picture from the gallery: what `show_photo` gives."""
    with errors_as_messages():
        return show_photo(read_photo(examples_of(name)[event.index]), name, strokes)


def take_upload(name: str, path: str, strokes: str):
    """A visitor's picture, framed if it shows a face and the model knows faces: what `show_photo` gives."""
    with errors_as_messages():
        photo = read_photo(path)
        place, remark = frame(photo, name)
        return show_photo(photo, name, strokes, place, remark)


def find_face(name: str, photo: Photo, strokes: str):
    """The frame that finding the face gives, after it was moved by hand: what `show_photo` gives."""
    with errors_as_messages():
        place, remark = frame(photo, name)
        return show_photo(photo, name, strokes, place, remark)


def frame(photo: Photo, name: str) -> tuple[Place, str]:
    """Where in a photo a model should look, and what to tell the visitor about it."""
    if not knows_faces(name):
        return WHOLE, MOVE
    try:
        face = faces.find_face(photo.pixels)
    except ValueError as error:  # OpenCV is missing: the square can still be moved by hand
        return WHOLE, str(error)
    if face is None:
        return WHOLE, NO_FACE
    height, width = photo.pixels.shape[:2]
    return place_of(faces.frame(face, width, height), width, height), EYES_GUESSED if face.guessed else FOUND


def take_model(name: str, strokes: str):
    """Another model's pictures: (gallery, samples, then what `show_photo` gives)."""
    with errors_as_messages():
        examples = examples_of(name)
        gallery = gr.Gallery(examples, selected_index=None, visible=bool(examples))
        return gallery, samples_of(name), *show_photo(first_photo(name), name, strokes)


def show_photo(photo: Photo, name: str, strokes: str, place: Place = WHOLE, remark: str = MOVE):
    """A new picture under the hole that is there.

    (photo, picture, drawing, strokes, note, crop, overview, find, zoom, across, down)
    """
    size = model_named(name).size
    picture = crop(photo, size, place)
    exact = (photo.width, photo.height) == (size, size)
    note = "" if exact else f"{PHOTO_NOTE.format(width=photo.width, height=photo.height, size=size)} {remark}"
    return (
        photo,
        picture,
        *editor.show(picture, editor.hole_of(strokes, size)),
        gr.Markdown(note, visible=not exact),
        gr.Group(visible=not exact),
        "" if exact else overview(photo, place),
        gr.Button(visible=knows_faces(name)),
        *place,
    )


def move_crop(photo: Photo, zoom: float, across: float, down: float, picture: np.ndarray, strokes: str):
    """Another part of the visitor's picture: (picture, drawing, strokes, overview)."""
    size, place = len(picture), (zoom, across, down)
    picture = crop(photo, size, place)
    return picture, *editor.show(picture, editor.hole_of(strokes, size)), overview(photo, place)


def overview(photo: Photo, place: Place) -> str:
    """The whole photo, small, with the square that the model sees marked in it."""
    small = Image.fromarray(photo.pixels)
    small.thumbnail((OVERVIEW_SIDE, OVERVIEW_SIDE))
    width, height = small.size
    square = square_at(width, height, place)
    rectangle = f'x="{square.left}" y="{square.top}" width="{square.side}" height="{square.side}"'
    return (
        f'<div class="overview">{views.img(np.asarray(small), "Your picture")}'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="The square that the model sees">'
        f'<rect class="under" {rectangle}/><rect {rectangle}/></svg></div>'
    )


def paste(outcome: Outcome | None, chosen: int):
    """The chosen filling in the visitor's photo at its full resolution: (full photo, full download)."""
    hidden = gr.Image(visible=False), gr.DownloadButton(visible=False)
    if (
        outcome is None
        or outcome.result is None
        or (outcome.photo.width, outcome.photo.height)
        == (
            len(outcome.picture),
            len(outcome.picture),
        )
    ):
        return hidden
    with errors_as_messages():
        if not Path(outcome.photo.path).is_file():  # files are kept for a day
            raise ValueError("Your photo is no longer here: upload it again to fill it at its full resolution.")
        photo = np.asarray(read_image(outcome.photo.path))
        square = square_at(outcome.photo.width, outcome.photo.height, outcome.place)
        blend = outcome.settings.blend
        filled = Image.fromarray(paste_back(photo, square, outcome.result.generated[chosen], outcome.hole, blend))
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, f"{Path(outcome.photo.path).stem}-filled.png")
            filled.save(path, compress_level=1)  # three times as fast as usual, a tenth larger
            download = save_file_to_cache(path, get_upload_folder())
        filled.thumbnail((1024, 1024))
    size = f"{outcome.photo.width}x{outcome.photo.height}"
    return (
        gr.Image(editor.shown(np.asarray(filled)), label=f"Your photo, filled ({size})", visible=True),
        gr.DownloadButton(f"Download your photo at {size}", value=download, visible=True),
    )
