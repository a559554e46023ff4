"""Picture files in and out: the pixels a viewer would show, and what else the file says of them."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..reading import open_image, read_image

# EXIF tags that are not kept: the orientation, as what is written is upright, and those that say how a TIFF lays out
# its pixels, from its size and compression to its strips, tiles and tables.
DROPPED = {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 318, 319, 320}
DROPPED |= {*range(322, 348), 512, 513, 514, 529, 530, 531, 532, 34675}
KEPT_MODES = {"RGB", "RGBA", "P", "L", "1"}  # whose colour profile still fits what is written

# Encoders by format; all but JPEG's keep every pixel.
LOSSLESS = {
    "PNG": {"compress_level": 6},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
}
LOSSY = {"JPEG": {"quality": 95, "subsampling": 0}}
SUFFIXES = {"PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "JPEG": ".jpg"}
FORMATS = ("lossless", "original", "png", "webp", "tiff")  # that a run can be asked for
# By suffix, because the name of an output file is known before its input is opened.
BY_SUFFIX = {".tiff": "TIFF", ".jpeg": "JPEG"} | {suffix: name for name, suffix in SUFFIXES.items()}


@dataclass(frozen=True)
class Form:
    """What a picture's file says beside its pixels."""

    format: str  # Pillow's name
    grey: bool
    about: dict  # what Pillow writes again: colour profile, EXIF data, resolution


def decode(data: bytes) -> tuple[NDArray[np.uint8], Form]:
    """Reads a picture's file: uint8 (H, W, 3), upright, and its form. Raises ValueError like `read_image`."""
    pixels = np.asarray(read_image(BytesIO(data)))
    with open_image(BytesIO(data)) as image:
        about = {}
        if image.mode in KEPT_MODES and image.info.get("icc_profile"):
            about["icc_profile"] = image.info["icc_profile"]
        if exif := image.getexif():
            for tag in DROPPED & exif.keys():
                del exif[tag]
            about["exif"] = exif.tobytes()
        if dpi := image.info.get("dpi"):
            about["dpi"] = tuple(float(value) for value in dpi)
        form = Form(image.format, image.mode in ("L", "1"), about)
    return pixels, form


def encode(pixels: NDArray[np.uint8], form: Form, format: str) -> bytes:
    """Writes pixels uint8 (H, W, 3) in a format of Pillow's, with what the original file said of them."""
    image = Image.fromarray(pixels)
    if form.grey and (pixels[..., :1] == pixels).all():
        image = image.convert("L")  # exact for grey pixels
    file = BytesIO()
    image.save(file, format, **(LOSSLESS | LOSSY)[format], **form.about)
    return file.getvalue()


def written_format(name: str, wanted: str) -> str:
    """The format in which the picture of a file name is written.

    Args:
        wanted: "lossless" (the original's format, or PNG where that would lose something), "original" (JPEG
            as well, at quality 95), or the name of a format.
    """
    if wanted not in ("lossless", "original"):
        return wanted.upper()
    own = BY_SUFFIX.get(_suffix(name))
    return own if own in LOSSLESS or (own in LOSSY and wanted == "original") else "PNG"


def written_name(name: str, wanted: str) -> str:
    """The name under which the picture of a file name is written: the same, with the suffix of its format."""
    format, suffix = written_format(name, wanted), _suffix(name)
    if BY_SUFFIX.get(suffix) == format:
        return name
    return (name[: -len(suffix)] if suffix else name) + SUFFIXES[format]


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    known = {*BY_SUFFIX, ".gif"}
    return f".{suffix}".lower() if stem and dot and f".{suffix}".lower() in known else ""
