"""Loads the pictures of any source in `sources` into one uint8 tensor, and selects the batches of a training run.

The images and random draws of a step depend only on the seed and the step. A resumed run therefore continues exactly
where it stopped, and each of several processes knows its own share of a batch.
"""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from . import cache, sources

logger = logging.getLogger(__name__)

CACHE_ABOVE = 2**30  # bytes; 87,000 pictures of 64x64
CHUNK = 1024  # pictures decoded ahead
BAR_FROM = 5000  # pictures; below this there is no progress bar, as decoding takes only seconds


def load_images(path: str | Path, size: int, *, cache_above: int = CACHE_ABOVE) -> Tensor:
    """Reads all pictures, sorted by name.

    Pictures are cropped (to the centre square, unless the data set has its own convention) and resized (bicubic). Those
    that cannot be decoded, or are smaller than half of `size`, are skipped and named in the log. Decoding uses all
    cores.

    Args:
        path: folder, file, or name of a Hugging Face dataset; see `sources.find`.
        size: side in pixels.
        cache_above: bytes; a larger result is kept in the user's cache directory and memory-mapped.

    Returns:
        uint8 (N, 3, size, size).

    Raises:
        ValueError: if there are no pictures at `path`, or none that can be used.
    """
    source = sources.find(path)
    unused: list[str] = []
    count = len(source.names)
    images = np.empty((0, 3, size, size), np.uint8)
    if count * 3 * size * size > cache_above:
        file = cache.path_of("images", str(path), size, source.stamp)
        found = cache.read_rows(file)
        if found is None and cache.write_rows(file, decoded(source, size, unused, str(path))):
            logger.info("%s: decoded pictures kept in %s", path, file)
            found = cache.read_rows(file)
        if found is not None:
            images = found
    else:
        images = np.empty((count, 3, size, size), np.uint8)
        filled = 0
        for image in decoded(source, size, unused, str(path)):
            images[filled] = image
            filled += 1
        images = images[:filled]
    if not len(images):
        raise ValueError(f"{path}: no readable image among its {count}: {'; '.join(unused[:3])}.")
    if len(images) < count:
        left_out = count - len(images)
        names = "; ".join(unused[:10]) or "named when they were first read"
        logger.warning("%s: left out %d unreadable file(s) of %d: %s", path, left_out, count, names)
    return torch.from_numpy(images)


def split(images: Tensor, held_out: int) -> tuple[Tensor, Tensor]:
    """Splits off the last `held_out` images for validation: (training, validation)."""
    if not 0 <= held_out < len(images):
        raise ValueError(f"cannot hold out {held_out} of {len(images)} images; choose a smaller --held-out.")
    return images[: len(images) - held_out], images[len(images) - held_out :]


@dataclass(frozen=True)
class Share:
    """The share of one process in every batch."""

    batch_size: int  # pictures per process
    seed: int
    index: int = 0  # of the process
    count: int = 1  # processes


@dataclass(frozen=True)
class Decoded:
    """The batches of one process, from pictures in memory. Raises ValueError if there are fewer than one batch."""

    images: Tensor  # uint8 (N, 3, size, size), the same in all processes
    held_out: Tensor
    share: Share

    def __post_init__(self):
        if len(self.images) < (batch := self.share.batch_size * self.share.count):
            raise ValueError(f"{len(self.images)} training images are fewer than one batch of {batch}.")

    def about(self) -> dict[str, int]:
        """Returns what else determines the batches; it must be the same when a run is resumed."""
        return {"training_images": len(self.images)}

    def batch(self, step: int) -> Tensor:
        """Returns the pictures of a step: uint8 (batch_size, 3, size, size)."""
        size, index = self.share.batch_size, self.share.index
        indices = batch_indices(step, size * self.share.count, len(self.images), self.share.seed)
        return self.images[indices[index * size :][:size]]

    def position(self) -> list[int]:
        """Returns an empty list: the step alone determines the batch."""
        return []

    def close(self) -> None:
        pass


def decoded(source: sources.Source, size: int, unused: list[str], title: str) -> Iterator[NDArray[np.uint8]]:
    """Yields (3, size, size) for every usable picture, in order; appends the others, with reasons, to `unused`."""
    count = len(source.names)

    def picture(index: int) -> NDArray[np.uint8] | str:
        try:
            image = source.read(index)
            return cut(image, source.box(index, *image.size), size)
        except Exception as error:  # a damaged file makes decoders raise almost anything
            reason = str(error).removeprefix("the picture: ").rstrip(".")
            return f"{source.names[index]} ({reason:.150})"

    # Threads suffice: Pillow releases the GIL while it decodes and resizes.
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=count, desc=title, unit="img", disable=count < BAR_FROM) as bar,
    ):
        for start in range(0, count, CHUNK):
            for result in pool.map(picture, range(start, min(start + CHUNK, count))):
                bar.update()
                if isinstance(result, str):
                    unused.append(result)
                else:
                    yield result


def cut(image: Image.Image, box: sources.Box, size: int) -> NDArray[np.uint8]:
    """Crops and resizes an RGB picture: uint8 (3, size, size). Raises ValueError if it is too small."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if min(width, height) * 2 < size:
        raise ValueError(f"{width}x{height} pixels are too few, at least half of {size} a side are needed")
    image = image.crop(box)  # before resizing, so that pixels outside the box do not leak in
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).transpose(2, 0, 1)


@lru_cache(maxsize=2)
def epoch_order(epoch: int, count: int, seed: int) -> Tensor:
    """Returns the order of the images in an epoch: a permutation, int64 (count,)."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def batch_indices(step: int, batch_size: int, count: int, seed: int) -> Tensor:
    """Returns the indices of a step's images: int64 (batch_size,), each image at most once per epoch.

    The images that remain after the last full batch of an epoch are skipped; they differ from epoch to epoch.
    """
    epoch, position = divmod(step, count // batch_size)
    return epoch_order(epoch, count, seed)[position * batch_size : (position + 1) * batch_size]


def step_generator(seed: int, step: int, process: int = 0) -> torch.Generator:
    """Returns a generator on the CPU for the random draws of one process in one step."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence((seed, step, process)).generate_state(1)[0]))


def prepare(images: Tensor, flips: bool, random: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Converts uint8 (N, 3, H, W) to float32 in [-1, 1] on the device; `flips` mirrors each image at random."""
    real = images.to(device).float() / 127.5 - 1
    if flips:
        mirrored = (torch.rand(len(real), generator=random) < 0.5).to(device)
        real = torch.where(mirrored[:, None, None, None], real.flip(3), real)
    return real.contiguous(memory_format=torch.channels_last)
