"""Finding the face in a photo, so that it can be framed as the faces a model has learnt from."""

import threading
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .photo import Square

SEARCH_SIDE = 960  # pixels; photos are searched at this size, which shows every face worth filling
MIN_FACE = 60  # pixels, at that size

# Where the detector sees the eyes in CelebA's aligned faces, their centre 108x108 pixels resized to a
# square: its boxes lie a little outside the pupils, which are at 0.32 and 0.68.
EYES_ACROSS = (0.3, 0.69)
EYES_DOWN = 0.525
# And where in the detector's boxes, for a face whose eyes are not found (closed, or behind glasses).
BOX_EYES_ACROSS = (0.3, 0.7)
BOX_EYES_DOWN = 0.39

Point = tuple[float, float]  # (x, y)

_DETECTING = threading.Lock()  # OpenCV's detectors keep their scratch memory between calls


@dataclass(frozen=True)
class Face:
    """The eyes of a face in pixels of its photo; `guessed` when only the face itself was found."""

    left_eye: Point  # the left one in the photo
    right_eye: Point
    guessed: bool


def find_face(photo: NDArray[np.uint8]) -> Face | None:
    """Finds the largest upright face seen from the front, and its eyes (Viola and Jones, CVPR 2001).

    Args:
        photo: uint8 (H, W, 3).

    Returns:
        The face, or None when there is none.

    Raises:
        ValueError: when OpenCV, which has the detectors, is not installed.
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
    """The square of a photo (width x height) in which the eyes lie as in CelebA's aligned faces.

    Where that square would leave the photo it is moved inside, or made smaller.
    """
    (x0, y0), (x1, y1) = face.left_eye, face.right_eye
    side = round((x1 - x0) / (EYES_ACROSS[1] - EYES_ACROSS[0]))
    side = max(1, min(side, width, height))
    left = round((x0 + x1) / 2 - side * sum(EYES_ACROSS) / 2)
    top = round((y0 + y1) / 2 - side * EYES_DOWN)
    return Square(min(max(left, 0), width - side), min(max(top, 0), height - side), side)


def _eye_pair(centres: list[Point]) -> tuple[Point, Point] | None:
    """The two of the points, in shares of a face's box, that lie most like eyes; None if no two do."""

    def oddness(pair: tuple[Point, Point]) -> float:
        expected = np.array([[x, BOX_EYES_DOWN] for x in BOX_EYES_ACROSS])
        return float(np.abs(np.array(pair) - expected).sum() + 2 * abs(pair[0][1] - pair[1][1]))

    pairs = [(a, b) for a in centres for b in centres if 0.25 < b[0] - a[0] < 0.6 and abs(a[1] - b[1]) < 0.12]
    return min(pairs, key=oddness, default=None)


def _detect(name: str, grey: NDArray[np.uint8], scale: float, neighbours: int, side: int) -> NDArray:
    """Boxes (N, 4): left, top, width, height, of at least `side` pixels."""
    with _DETECTING:
        return _detector(name).detectMultiScale(grey, scaleFactor=scale, minNeighbors=neighbours, minSize=(side, side))


@cache
def _detector(name: str):
    """One of OpenCV's trained cascades, read once."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError("Finding faces needs OpenCV: pip install 'opencv-python-headless>=4.10,<5'.") from error
    detector = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
    if detector.empty():
        raise ValueError(f"OpenCV {cv2.__version__} comes without its face detectors; versions 4.10 to 4.x have them.")
    return detector
