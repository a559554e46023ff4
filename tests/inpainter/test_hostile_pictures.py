"""Picture files from anyone: read as RGB or refused in one sentence, soon and in little memory."""

import io
import os
import random
import time

import numpy as np
import pytest
from PIL import Image, features

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


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="not a regular file"):
            open_image(path)
