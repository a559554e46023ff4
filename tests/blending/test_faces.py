"""Finding faces in photos, and framing them as the model's own."""

import sys

import numpy as np
import pytest
from conftest import BUNDLED
from PIL import Image

from inpainter.blending import faces
from inpainter.blending.photo import Square

EXAMPLES = sorted(BUNDLED.glob("examples/*.png"))


def photo_of(example, left: int, top: int, side: int, size: tuple[int, int]) -> np.ndarray:
    photo = Image.new("RGB", size, "gray")
    photo.paste(Image.open(example).convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (left, top))
    return np.asarray(photo)


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_face_is_framed_as_the_model_has_learnt_it(cv2, example):
    photo = photo_of(example, 250, 170, 320, (900, 700))
    square = faces.frame(faces.find_face(photo), 900, 700)
    for found, true in zip((square.left, square.top, square.side), (250, 170, 320), strict=True):
        assert abs(found - true) < 0.14 * 320


def test_a_large_photo_is_framed_in_its_own_pixels(cv2):
    photo = photo_of(EXAMPLES[0], 1000, 800, 1200, (3000, 2400))
    square = faces.frame(faces.find_face(photo), 3000, 2400)
    assert abs(square.side - 1200) < 170 and abs(square.left - 1000) < 170 and abs(square.top - 800) < 170


def test_no_face_is_none(cv2):
    assert faces.find_face(np.full((300, 400, 3), 128, np.uint8)) is None


def test_a_photo_smaller_than_any_face_is_none(cv2):
    assert faces.find_face(np.zeros((8, 8, 3), np.uint8)) is None


def test_the_frame_never_leaves_the_photo():
    for eyes in (((5, 5), (60, 5)), ((90, 95), (99, 95)), ((0, 50), (100, 50))):
        square = faces.frame(faces.Face(*eyes, guessed=False), 100, 100)
        assert square.left >= 0 and square.top >= 0
        assert square.left + square.side <= 100 and square.top + square.side <= 100


def test_eyes_lie_in_the_frame_where_the_training_pictures_have_them():
    square = faces.frame(faces.Face((430, 352.5), (469, 352.5), guessed=False), 1000, 1000)
    assert square == Square(400, 300, 100)


def test_without_opencv_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    faces._detector.cache_clear()
    with pytest.raises(ValueError, match="pip install 'opencv-python-headless"):
        faces.find_face(np.zeros((100, 100, 3), np.uint8))
