"""Finds the face in a photo and frames it like the model's training pictures."""

import threading
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .photo import Square

SEARCH_SIDE = 960  # pixels; photos are searched at this size, enough for every face worth filling
MIN_FACE = 60  # pixels, at that size

# Where the detector finds the eyes in CelebA's aligned faces, as fractions of their centre 108x108 pixels: its
# boxes lie slightly outside the pupils, which are at 0.32 and 0.68.
EYES_ACROSS = (0.3, 0.69)
EYES_DOWN = 0.525
# Eye positions in the detector's face box, for a face whose eyes are not found (closed, or behind glasses).
BOX_EYES_ACROSS = (0.3, 0.7)
BOX_EYES_DOWN = 0.39

Point = tuple[float, float]  # (x, y)

_DETECTING = threading.Lock()  # OpenCV's detectors keep their scratch memory between calls


@dataclass(frozen=True)
class Face:
    """A face's eye positions in pixels of its photo; `guessed` if only the face itself was detected."""

    left_eye: Point  # on the left in the photo
    right_eye: Point
    guessed: bool


def find_face(photo: NDArray[np.uint8]) -> Face | None:
    """Finds the largest upright frontal face and its eyes (Viola and Jones, CVPR 2001).

    Args:
        photo: uint8 (H, W, 3).

    Returns:
        The face, or None if there is none.

    Raises:
        ValueError: if OpenCV, which provides the detectors, is not installed.
    """
    height, width = photo.shape[:2]
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = np.asarray(Image.fromarray(photo).convert("L").resize(size, Image.Resampling.BOX))
    boxes = _detect("frontalface_default", grey, 1.1, 5, MIN_FACE)
    if len(boxes) == 0:
        return None
    left, top, side, _ = (int(v) for v in max(boxes, key=lambda box: box[2]))
    upper = grey[top : top + round(0.6 * side), left : left + side]
    found = _detect("eye", upper, 1.05, 4, side // 8)
    centres = [((x + w / 2) / side, (y + h / 2) / side) for x, y, w, h in found]
    pair = _eye_pair(centres)
    eyes = pair or tuple((x, BOX_EYES_DOWN) for x in BOX_EYES_ACROSS)
    left_eye, right_eye = (((left + x * side) / scale, (top + y * side) / scale) for x, y in eyes)
    return Face(left_eye, right_eye, guessed=pair is None)


def frame(face: Face, width: int, height: int) -> Square:
    """Returns the square of a photo (width x height) that places the eyes as in CelebA's aligned faces.

    A square that would extend beyond the photo is moved inside or made smaller.
    """
    (x0, y0), (x1, y1) = face.left_eye, face.right_eye
    side = round((x1 - x0) / (EYES_ACROSS[1] - EYES_ACROSS[0]))
    side = max(1, min(side, width, height))
    left = round((x0 + x1) / 2 - side * sum(EYES_ACROSS) / 2)
    top = round((y0 + y1) / 2 - side * EYES_DOWN)
    return Square(min(max(left, 0), width - side), min(max(top, 0), height - side), side)


def _eye_pair(centres: list[Point]) -> tuple[Point, Point] | None:
    """Returns the two points, in fractions of a face's box, placed most like eyes; None if no pair is plausible."""

    def oddness(pair: tuple[Point, Point]) -> float:
        expected = np.array([[x, BOX_EYES_DOWN] for x in BOX_EYES_ACROSS])
        return float(np.abs(np.array(pair) - expected).sum() + 2 * abs(pair[0][1] - pair[1][1]))

    pairs = [(a, b) for a in centres for b in centres if 0.25 < b[0] - a[0] < 0.6 and abs(a[1] - b[1]) < 0.12]
    return min(pairs, key=oddness, default=None)


def _detect(name: str, grey: NDArray[np.uint8], scale: float, neighbours: int, side: int) -> NDArray:
    """Detects boxes (N, 4): left, top, width, height, of at least `side` pixels."""
    with _DETECTING:
        return _detector(name).detectMultiScale(grey, scaleFactor=scale, minNeighbors=neighbours, minSize=(side, side))


@cache
def _detector(name: str):
    """Loads one of OpenCV's trained cascades, once."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError("Finding faces needs OpenCV: pip install 'opencv-python-headless>=4.10,<5'.") from error
    detector = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
    if detector.empty():
        raise ValueError(f"OpenCV {cv2.__version__} lacks its face detectors; versions 4.10 to 4.x include them.")
    return detector
