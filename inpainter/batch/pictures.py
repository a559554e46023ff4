"""Decodes and encodes picture files, and keeps their colour profile, EXIF data and resolution."""

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..reading import open_image, read_image

# EXIF tags that are dropped: the orientation, because pictures are written upright, and those that describe the layout
# of a TIFF: size, compression, strips, tiles and tables.
DROPPED = {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 318, 319, 320}
DROPPED |= {*range(322, 348), 512, 513, 514, 529, 530, 531, 532, 34675}
KEPT_MODES = {"RGB", "RGBA", "P", "L", "1"}  # modes whose colour profile still applies to the output

# Encoder options by format. All but JPEG are lossless.
LOSSLESS = {
    "PNG": {"compress_level": 6},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
}
LOSSY = {"JPEG": {"quality": 95, "subsampling": 0}}
SUFFIXES = {"PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "JPEG": ".jpg"}
FORMATS = ("lossless", "original", "png", "webp", "tiff")  # choices of `--format`
# The format follows from the suffix, because output names are needed before inputs are opened.
BY_SUFFIX = {".tiff": "TIFF", ".jpeg": "JPEG"} | {suffix: name for name, suffix in SUFFIXES.items()}


@dataclass(frozen=True)
class Form:
    """A picture file's format and metadata."""

    format: str  # Pillow's name
    grey: bool
    about: dict  # options for Pillow's encoder: colour profile, EXIF data, resolution


def decode(data: bytes) -> tuple[NDArray[np.uint8], Form]:
    """Decodes a picture file: uint8 (H, W, 3), upright, and its form. Raises ValueError like `read_image`."""
    pixels = np.asarray(read_image(BytesIO(data)))
    with open_image(BytesIO(data)) as image:
        about = {}
        if image.mode in KEPT_MODES and image.info.get("icc_profile"):
            about["icc_profile"] = image.info["icc_profile"]
        if exif := image.getexif():
            for tag in DROPPED & exif.keys():
                del exif[tag]
            with suppress(Exception):  # damaged data, which makes Pillow raise almost anything, is left out
                about["exif"] = exif.tobytes()
        if dpi := image.info.get("dpi"):
            about["dpi"] = tuple(float(value) for value in dpi)
        form = Form(image.format, image.mode in ("L", "1"), about)
    return pixels, form


def encode(pixels: NDArray[np.uint8], form: Form, format: str) -> bytes:
    """Encodes pixels uint8 (H, W, 3) in one of Pillow's formats, with the original file's metadata."""
    image, about = Image.fromarray(pixels), dict(form.about)
    if form.grey and (pixels[..., :1] == pixels).all():
        image = image.convert("L")  # exact for grey pixels
    elif form.grey:
        about.pop("icc_profile", None)  # a profile of greys does not apply to colours
    file = BytesIO()
    image.save(file, format, **(LOSSLESS | LOSSY)[format], **about)
    return file.getvalue()


def written_format(name: str, wanted: str) -> str:
    """Returns the format in which a picture is written.

    Args:
        name: the picture's file name.
        wanted: "lossless" (the original's format, or PNG if that is lossy), "original" (JPEG stays JPEG, at quality
            95), or the name of a format.
    """
    if wanted not in ("lossless", "original"):
        return wanted.upper()
    own = BY_SUFFIX.get(_suffix(name))
    return own if own in LOSSLESS or (own in LOSSY and wanted == "original") else "PNG"


def written_name(name: str, wanted: str) -> str:
    """Returns the file name under which a picture is written: the same, with the suffix of its format."""
    format, suffix = written_format(name, wanted), _suffix(name)
    if BY_SUFFIX.get(suffix) == format:
        return name
    return (name[: -len(suffix)] if suffix else name) + SUFFIXES[format]


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    known = {*BY_SUFFIX, ".gif"}
    return f".{suffix}".lower() if stem and dot and f".{suffix}".lower() in known else ""
