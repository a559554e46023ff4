"""Pictures as files and as text, for the browser and for downloads."""

import base64
import io
import uuid

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = 128  # what a missing pixel looks like


def damaged(picture: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with its hole (H, W) greyed out."""
    return np.where(hole[..., None], GREY, picture).astype(np.uint8)


def mask_picture(hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A hole as a picture, white = missing: uint8 (H, W, 3)."""
    return np.repeat(hole[..., None] * np.uint8(255), 3, axis=2)


def png(image: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", compress_level=3)
    return file.getvalue()


def data_uri(image: NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


def jpeg_uri(image: NDArray[np.uint8]) -> str:
    """As `data_uri`, for pictures of photo size."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=92)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Shows every pixel of (H, W, ...) as a square of `factor` pixels."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def of_its_own(pixels: NDArray[np.uint8]) -> Image.Image:
    """A picture to hand to Gradio, marked so that it gets a file of its own.

    Gradio names files by their content and writes them in place: two visitors who are given the same picture would
    share a file, and one could be sent it while it is written for the other.
    """
    image = Image.fromarray(pixels)
    image.info["shown"] = uuid.uuid4().hex
    return image
