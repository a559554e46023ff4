"""Filling a part of the pictures: the one function that every engine runs."""

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
    """What is to be done with every picture; travels to the processes and machines that do it."""

    model: str
    checksum: str  # of the model's files
    holes: Holes
    settings: Settings = DEFAULTS
    own_seeds: bool = False  # each picture's from its key, in place of the settings'
    find_faces: bool = False
    format: str = "lossless"
    device: str = "auto"
    revision: str | None = None


@dataclass(slots=True)
class Row:
    """What became of a picture."""

    key: str
    image: bytes | None = None  # the file, None when `error` says why
    seed: int | None = None
    context_loss: float | None = None
    prior_loss: float | None = None
    seconds: float = 0.0
    error: str | None = None

    def record(self) -> dict:
        """All of it but the picture."""
        return {name: value for name, value in asdict(self).items() if name != "image"}


class Filler:
    """Holds the model and fills pictures, one by one.

    One by one because a batch's shape decides how its sums are rounded: a picture's bytes must not depend on
    which others were in its batch, how many workers there were, or where an earlier run stopped.

    Raises:
        ModelError: when there is no such model, or it is not the one with the job's checksum.
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
        """Fills one picture; whatever is wrong with it is said in the row."""
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
        square = choose_square(photo, hole, self.job.find_faces)
        hole = hole[square.slices] if hole.shape == photo.shape[:2] else enlarge_hole(hole, square.side)
        picture, coarse_hole = fit(photo[square.slices], hole, size)
        row.seed = seed_of(raw.key) if self.job.own_seeds else self.job.settings.seed
        result = self.inpainter(picture, coarse_hole, self.job.settings, seed=row.seed)
        if square.side == size:
            filled = photo.copy()
            filled[square.slices] = np.where(hole[..., None], result.images[0], photo[square.slices])
        else:
            filled = paste_back(photo, square, result.generated[0], hole, self.job.settings.blend)
        row.context_loss, row.prior_loss = float(result.context_loss[0]), float(result.prior_loss[0])
        row.image = encode(filled, form, written_format(raw.key, self.job.format))


def seed_of(key: str) -> int:
    """A picture's seed, the same on every machine: from its key's SHA-256, 0 <= seed < 2**63."""
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big") % SEEDS


def choose_square(photo: NDArray[np.uint8], hole: NDArray[np.bool_], find_face: bool) -> Square:
    """The square of a photo (H, W, 3) that the model is to see.

    The largest one, in the middle, or as near to it as a hole of the photo's own size (H, W) lets it be; with
    `find_face` the one that frames the largest face.

    Raises:
        ValueError: when there is no face, or the hole does not fit into the square.
    """
    height, width = photo.shape[:2]
    own = hole.shape == (height, width)
    if not own and hole.shape[0] != hole.shape[1]:
        raise ValueError(f"the mask is {hole.shape[1]}x{hole.shape[0]} pixels, but the picture is {width}x{height}.")
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
    """SHA-256 of a model's configuration and weights, its encoder's included."""
    folder = hub.locate(name, revision=revision)
    digest = sha256()
    for file in sorted(path for kind in ("*.json", "*.safetensors") for path in folder.rglob(kind)):
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _placed(length: int, side: int, missing: NDArray[np.intp]) -> int:
    """Where a span of `side` pixels begins on one of `length`: in the middle, or moved to cover what is missing."""
    start = (length - side) // 2
    if len(missing):
        start = min(start, int(missing[0]))
        start = max(start, int(missing[-1]) + 1 - side)
    return start


def _smoothed(photo: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The photo with its hole filled from the rim inwards, so that what was under it decides nothing."""
    if not hole.any() or hole.all():
        return np.where(hole[..., None], 0, photo)
    rim = np.flatnonzero(binary_dilation(hole) & ~hole)
    planes = harmonic_fill(photo.reshape(-1, 3)[rim].T.astype(np.float32), rim, hole)
    return np.where(hole[..., None], np.moveaxis(planes, 0, 2).round().clip(0, 255).astype(np.uint8), photo)
