"""Training and test pictures: a folder or a zip of images, decoded once to one uint8 tensor."""

import io
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

logger = logging.getLogger(__name__)

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def load_images(path: str | Path, size: int) -> Tensor:
    """Reads every image of a folder or zip, in order of name.

    Pictures of another size are cropped to their centre square and resized (bicubic). Files that
    cannot be decoded are counted and named in the log, and left out.

    Returns:
        uint8 (N, 3, size, size).

    Raises:
        ValueError: when the path is neither, or holds no readable image.
    """
    images, broken = [], []
    for name, data in _files(Path(path)):
        try:
            with Image.open(io.BytesIO(data)) as image:
                images.append(_square(image.convert("RGB"), size))
        except (OSError, ValueError, SyntaxError):
            broken.append(name)
    if broken:
        logger.warning("%s: left out %d unreadable file(s): %s", path, len(broken), ", ".join(broken[:10]))
    if not images:
        raise ValueError(f"{path}: found no readable image (looked for {', '.join(sorted(SUFFIXES))}).")
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def split(images: Tensor, held_out: int) -> tuple[Tensor, Tensor]:
    """Splits off the last `held_out` images for validation: (training, validation)."""
    if not 0 <= held_out < len(images):
        raise ValueError(f"cannot hold out {held_out} of {len(images)} images.")
    return images[: len(images) - held_out], images[len(images) - held_out :]


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                yield str(file.relative_to(path)), file.read_bytes()
    elif path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if Path(name).suffix.lower() in SUFFIXES:
                        yield name, archive.read(name)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: not a folder, and not a readable zip archive ({error}).") from error
    else:
        raise ValueError(f"{path}: no such folder or zip archive.")


def _square(image: Image.Image, size: int) -> np.ndarray:
    if image.size != (size, size):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(image)
