"""Picture files from anyone: read as RGB or refused in one sentence, soon and in little memory."""

import io
import os
import random
import struct
import time

import numpy as np
import pytest
from PIL import Image, features

from inpainter.batch.pictures import decode, encode
from inpainter.reading import open_image, read_image

PICTURES = 2000 if os.environ.get("NIGHTLY") else 200
FORMATS = ["png", "jpeg", "gif", "bmp", "tiff", "ppm", *(["webp"] if features.check("webp") else [])]


def encoded(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def spoilt(data: bytes, draw: random.Random) -> bytes:
    """Changes a few bytes, most of them in the header, or cuts the file short."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        place = draw.randrange(draw.choice((40, 100, len(data))))
        data[place % len(data)] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
    return bytes(data[: draw.randrange(1, len(data))] if draw.random() < 0.1 else data)


def test_mutated_pictures_are_read_or_refused(tmp_path):
    originals, read = [encoded(kind) for kind in FORMATS], 0
    for seed in range(PICTURES):
        draw = random.Random(seed)
        (tmp_path / "picture").write_bytes(spoilt(draw.choice(originals), draw))
        start = time.monotonic()
        try:
            image = read_image(tmp_path / "picture")
        except ValueError as error:
            assert 10 < len(str(error)) < 500 and "\n" not in str(error), seed
        else:
            read += 1
            assert image.mode == "RGB" and min(image.size) >= 8, seed
        assert time.monotonic() - start < 5, seed
    assert PICTURES / 20 < read < PICTURES


@pytest.mark.parametrize("orientation", [1, 6])
def test_damaged_exif_data_is_left_out_or_refused(orientation):
    exif, data = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x010F] = orientation, "the maker of the camera"
    Image.new("RGB", (24, 20), "red").save(data, "JPEG", exif=exif)
    maker, number = struct.pack(">HH", 0x010F, 2), struct.pack(">HH", 0x0118, 2)  # a tag of numbers, with the text
    assert data.getvalue().count(maker) == 1
    spoilt = data.getvalue().replace(maker, number)
    if orientation == 1:
        assert Image.open(io.BytesIO(encode(*decode(spoilt), "PNG"))).size == (24, 20)
    else:
        with pytest.raises(ValueError, match="EXIF data is damaged"):
            read_image(io.BytesIO(spoilt))


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="not a regular file"):
            open_image(path)
