"""Encodes pictures as files and data URIs, for the browser and for downloads."""

import base64
import io
import uuid

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = 128  # level of missing pixels


def damaged(picture: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Greys out the hole (H, W) of a picture (H, W, 3)."""
    return np.where(hole[..., None], GREY, picture).astype(np.uint8)


def mask_picture(hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Returns a hole as a mask image, white = missing: uint8 (H, W, 3)."""
    return np.repeat(hole[..., None] * np.uint8(255), 3, axis=2)


def png(image: NDArray[np.uint8]) -> bytes:
    """Encodes a picture (H, W, 3) as PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", compress_level=3)
    return file.getvalue()


def data_uri(image: NDArray[np.uint8]) -> str:
    """Encodes a picture (H, W, 3) as a PNG data URI."""
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


def jpeg_uri(image: NDArray[np.uint8]) -> str:
    """Encodes a picture (H, W, 3) of photo size as a JPEG data URI."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=92)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Enlarges every pixel of (H, W, ...) to a square of side `factor`."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def of_its_own(pixels: NDArray[np.uint8]) -> Image.Image:
    """Returns an image for Gradio, marked so that it gets its own file.

    Gradio names files by their content and writes them in place, so two visitors who get the same picture would share
    a file, and one could receive it half-written.
    """
    image = Image.fromarray(pixels)
    image.info["shown"] = uuid.uuid4().hex
    return image
