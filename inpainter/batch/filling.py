"""Fills one picture, from its file to the filled file: the function that every engine runs."""

import time
from dataclasses import asdict, dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from .. import Inpainter, Settings, hub
from ..blending import Square, faces, paste_back
from ..blending.photo import harmonic_fill
from ..images import enlarge_hole, fit
from ..models import ModelError
from .holes import Holes
from .pictures import decode, encode, written_format
from .sources import Raw

SEEDS = 2**63
DEFAULTS = Settings()


@dataclass(frozen=True)
class Job:
    """How to fill every picture; sent to the worker processes and machines."""

    model: str
    checksum: str  # of the model, see `model_checksum`
    holes: Holes
    settings: Settings = DEFAULTS
    own_seeds: bool = False  # derive each picture's seed from its key, instead of using the settings'
    find_faces: bool = False
    format: str = "lossless"
    device: str = "auto"
    revision: str | None = None


@dataclass(slots=True)
class Row:
    """The result for one picture."""

    key: str
    image: bytes | None = None  # the filled file; None if there was an error
    seed: int | None = None
    context_loss: float | None = None
    prior_loss: float | None = None
    seconds: float = 0.0
    error: str | None = None

    def record(self) -> dict:
        """Returns all fields except the picture."""
        return {name: value for name, value in asdict(self).items() if name != "image"}


class Filler:
    """Holds the model and fills pictures one at a time.

    The batch size affects how sums are rounded, and a picture's bytes must not depend on the other pictures, the number
    of workers, or where an earlier run stopped.

    Raises:
        ModelError: if there is no such model, or its checksum is not the job's.
    """

    def __init__(self, job: Job):
        torch.set_num_threads(1)
        self.job = job
        self.inpainter = Inpainter.from_pretrained(job.model, device=job.device, revision=job.revision)
        if (found := model_checksum(job.model, job.revision)) != job.checksum:
            raise ModelError(
                f"{job.model}: not the model of this run here (checksum {found:.12}, not {job.checksum:.12})."
            )

    def __call__(self, raw: Raw) -> Row:
        """Fills one picture; an error is reported in the row."""
        started = time.perf_counter()
        row = Row(raw.key, error=raw.error)
        if raw.error is None:
            try:
                self._fill(raw, row)
            except (ValueError, TypeError) as error:
                row.error = str(error)
            except Exception as error:  # one picture must not end a run of a million
                row.error = f"{type(error).__name__}: {error}"
        row.seconds = round(time.perf_counter() - started, 4)
        return row

    def _fill(self, raw: Raw, row: Row) -> None:
        photo, form = decode(raw.data)
        size = self.inpainter.size
        hole = self.job.holes.hole(raw, size)
        if hole.shape not in (photo.shape[:2], (size, size)):
            mask, picture = (f"{shape[1]}x{shape[0]}" for shape in (hole.shape, photo.shape))
            raise ValueError(f"the mask is {mask} pixels, but the picture is {picture} and the model {size}x{size}.")
        square = choose_square(photo, hole, self.job.find_faces)
        hole = hole[square.slices] if hole.shape == photo.shape[:2] else enlarge_hole(hole, square.side)
        picture, coarse_hole = fit(photo[square.slices], hole, size)
        row.seed = seed_of(raw.key) if self.job.own_seeds else self.job.settings.seed
        result = self.inpainter(picture, coarse_hole, self.job.settings, seed=row.seed)
        if square.side == size:
            filled = photo.copy()
            filled[square.slices] = np.where(hole[..., None], result.images[0], photo[square.slices])
        else:
            filled = paste_back(photo, square, result.generated[0], hole, result.settings.blend)
        row.context_loss, row.prior_loss = float(result.context_loss[0]), float(result.prior_loss[0])
        row.image = encode(filled, form, written_format(raw.key, self.job.format))


def seed_of(key: str) -> int:
    """Derives a picture's seed from the SHA-256 of its key: 0 <= seed < 2**63."""
    data = key.encode(errors="surrogateescape")  # a key may be a file's name in any encoding
    return int.from_bytes(sha256(data).digest()[:8], "big") % SEEDS


def choose_square(photo: NDArray[np.uint8], hole: NDArray[np.bool_], find_face: bool) -> Square:
    """Returns the square of a photo (H, W, 3) that the model sees.

    This is the largest centred square, shifted to contain the hole if that has the photo's size (H, W); with
    `find_face`, the square that frames the largest face.

    Raises:
        ValueError: if there is no face, or the hole does not fit into the square.
    """
    height, width = photo.shape[:2]
    own = hole.shape == (height, width)
    if find_face:
        face = faces.find_face(_smoothed(photo, hole) if own else photo)
        if face is None:
            raise ValueError("no face was found in the picture.")
        square = faces.frame(face, width, height)
    else:
        side = min(width, height)
        rows, columns = (np.flatnonzero(hole.any(axis=axis)) if own else np.zeros(0, int) for axis in (1, 0))
        square = Square(_placed(width, side, columns), _placed(height, side, rows), side)
    if own and hole.sum() != hole[square.slices].sum():
        what = "the face's frame" if find_face else "any square of the picture"
        raise ValueError(
            f"the hole reaches out of {what}, {square.side} pixels wide, which is all that the model sees."
        )
    return square


def model_checksum(name: str, revision: str | None = None) -> str:
    """Returns the SHA-256 of a model's configuration and weights, including its encoder's."""
    folder = hub.locate(name, revision=revision)
    digest = sha256()
    for file in sorted(path for kind in ("*.json", "*.safetensors") for path in folder.rglob(kind)):
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _placed(length: int, side: int, missing: NDArray[np.intp]) -> int:
    """Returns where a span of `side` out of `length` pixels starts: centred, or shifted to cover the missing ones."""
    start = (length - side) // 2
    if len(missing):
        start = min(start, int(missing[0]))
        start = max(start, int(missing[-1]) + 1 - side)
    return start


def _smoothed(photo: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fills the hole smoothly from its rim, so that the pixels under it do not affect where a face is found."""
    if not hole.any() or hole.all():
        return np.where(hole[..., None], 0, photo)
    rim = np.flatnonzero(binary_dilation(hole) & ~hole)
    planes = harmonic_fill(photo.reshape(-1, 3)[rim].T.astype(np.float32), rim, hole)
    return np.where(hole[..., None], np.moveaxis(planes, 0, 2).round().clip(0, 255).astype(np.uint8), photo)
