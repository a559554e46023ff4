"""Streams training pictures from shards, for data sets that are too large for memory.

Shards are tars in WebDataset's layout, at any place that fsspec supports, or Parquet files and Hub data sets, streamed
by the package `datasets`. (It also streams tars, but as of version 5.2 not from S3.) Each process reads its own shards,
in a new random order in every pass. It reads one block of pictures ahead while it returns batches from another,
shuffled one, so only two blocks are in memory.

All orders follow from the seed, and a checkpoint records the position of every process. A resumed run therefore sees
the same pictures as one that was never stopped.
"""

import logging
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

import fsspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpainter.batch.storage import in_one_sentence
from inpainter.images import centre_square

from . import sources
from .loading import Share, cut

logger = logging.getLogger(__name__)

HUB = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+?)(?::([\w.-]+))?/?")  # a whole data set, or a split of it
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
CHUNK = 64  # rows decoded at once


def is_stream(path: str) -> bool:
    """Returns whether `--data` names shards: tars, a pattern of Parquet files, or any URL."""
    return "://" in path or path.endswith(".tar") or ("*" in path and path.endswith(".parquet"))


class Shards(Protocol):
    """Files of pictures that can be read independently."""

    number: int

    def name(self, shard: int) -> str:
        """Returns what to call a shard in messages."""

    def read(self, shard: int, first: int) -> Iterator[dict]:
        """Yields the pictures of a shard from row `first` on, as cells for `sources.picture_of`."""


class Tars:
    """Tars in WebDataset's layout; files other than pictures are ignored."""

    def __init__(self, path: str):
        self.files = fsspec.open_files(expanded(path), "rb")
        self.number = len(self.files)

    def name(self, shard: int) -> str:
        return self.files[shard].path

    def read(self, shard: int, first: int) -> Iterator[dict]:
        with self.files[shard] as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            pictures = (member for member in tar if member.isfile() and sources.is_picture(member.name))
            for member in islice(pictures, first, None):
                yield {"path": member.name, "bytes": tar.extractfile(member).read()}


class Rows:
    """A dataset streamed by the package `datasets`: Parquet files, or a data set on the Hub."""

    def __init__(self, path: str):
        hub = HUB.fullmatch(path)
        where = {} if hub else {"data_files": expanded(path)}
        name, split = (hub[1], hub[2] or "") if hub else ("parquet", "train")
        dataset = sources.load_dataset(path, name, split, streaming=True, **where)
        self.rows, self.column = sources.only_pictures(dataset, path)
        self.number = self.rows.num_shards
        self.path = path

    def name(self, shard: int) -> str:
        return f"{self.path}: shard {shard + 1} of {self.number}"

    def read(self, shard: int, first: int) -> Iterator[dict]:
        for row in self.rows.shard(self.number, shard).skip(first):
            yield row[self.column]


def shards_at(path: str) -> Shards:
    """Opens the shards that `--data` names.

    Args:
        path: a URL or local path of tars or Parquet files, with * or {000..099} for several; or a data set on the Hub,
            hf://datasets/user/name or hf://datasets/user/name:split.

    Raises:
        ValueError: if it is none of these, or there is nothing.
    """
    kinds = [kind for suffix, kind in {".tar": Tars, ".parquet": Rows}.items() if path.endswith(suffix)]
    if not kinds and not HUB.fullmatch(path):
        raise ValueError(f"{path}: only .tar and .parquet files, and hf://datasets/user/name, are streamed.")
    with in_one_sentence(path):
        shards = (kinds or [Rows])[0](path)
    if not shards.number:
        raise ValueError(f"{path}: there are no such files.")
    return shards


def expanded(path: str) -> list[str]:
    """Expands ranges of numbers in braces: a-{08..10}.tar becomes a-08.tar, a-09.tar, a-10.tar."""
    if not (found := RANGE.search(path)):
        return [path]
    first, last = found.groups()
    numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return [name for number in numbers for name in expanded(path[: found.start()] + number + path[found.end() :])]


class Place(NamedTuple):
    """A process's position in its shards: finished passes, finished shards of this pass, rows read of the next."""

    passes: int = 0
    shards: int = 0
    row: int = 0


@dataclass(frozen=True)
class Block:
    """The pictures between two places, which are shuffled together."""

    start: Place
    end: Place
    images: Tensor  # uint8 (N, 3, size, size)
    order: Tensor  # shuffled: a permutation, int64 (N,)


class Stream:
    """The batches of one process, from its share of the shards.

    Args:
        path: as for `shards_at`.
        size: side in pixels; pictures are cropped to the centre square and resized.
        held_out: number of pictures to hold out for validation, the first ones of the first shards.
        buffer: pictures per block.
        share: the process's share.

    Raises:
        ValueError: as for `shards_at`, and if there are too few pictures to hold out.
    """

    def __init__(self, path: str, size: int, held_out: int, buffer: int, share: Share):
        self.path, self.shards = path, shards_at(path)
        self.size, self.buffer, self.share = size, buffer, share
        self.decoders, self.reader = ThreadPoolExecutor(os.cpu_count()), ThreadPoolExecutor(1)
        self.closed = False
        self.held: Counter[int] = Counter()  # number of held-out rows of each shard
        self.held_out = self._hold_out(held_out)
        self.block: Block | None = None  # the current one
        self.used = 0  # pictures of the block that were returned
        self.rows: tuple[Place, Iterator[tuple[Place, dict]]] | None = None  # end of the last block, rows after it
        self.coming: Future[Block] | None = None
        if share.index == 0 and self.shards.number % share.count:
            logger.warning(
                "%s: %d shards cannot be divided evenly among %d processes, so some pictures are seen more often",
                *(path, self.shards.number, share.count),
            )

    @property
    def images(self) -> Tensor:
        """Returns some of the training pictures: uint8 (N, 3, size, size)."""
        return self._block().images

    def about(self) -> dict[str, int]:
        """Returns what else determines the batches; it must be the same when a run is resumed."""
        return {"shards": self.shards.number, "shuffle_buffer": self.buffer, "held_out": len(self.held_out)}

    def batch(self, step: int) -> Tensor:
        """Returns the next pictures, uint8 (batch_size, 3, size, size), regardless of the step."""
        parts, missing = [], self.share.batch_size
        while missing:
            if self.used == len(self._block().images):
                self.block = None
            block = self._block()
            which = block.order[self.used :][:missing]
            self.used += len(which)
            missing -= len(which)
            parts.append(block.images[which])
        return torch.cat(parts)

    def position(self) -> list[int]:
        """Returns this process's position: the start of its block, and how many of its pictures were returned."""
        return [*self._block().start, self.used]

    def go_to(self, position: list[int]) -> None:
        """Continues from the position of an earlier run."""
        *start, used = position
        self.block = self._read(Place(*start))
        self.used = used

    def close(self) -> None:
        """Stops reading ahead."""
        self.closed = True
        for pool in (self.reader, self.decoders):
            pool.shutdown(wait=False, cancel_futures=True)

    def _block(self) -> Block:
        """Returns the current block, and starts reading the next one in the background."""
        if self.block is None:
            self.block = self.coming.result() if self.coming else self._read(Place())
            self.coming, self.used = None, 0
        if self.coming is None:
            self.coming = self.reader.submit(self._read, self.block.end)
        return self.block

    def _read(self, start: Place) -> Block:
        """Reads the next block of usable pictures; a block never extends beyond the end of a pass."""
        images = np.empty((self.buffer, 3, self.size, self.size), np.uint8)
        count, place = 0, start
        while not count and place.passes < start.passes + 2:
            rows = self.rows[1] if self.rows and self.rows[0] == place else self._rows(place)
            while chunk := list(islice(rows, min(CHUNK, self.buffer - count))):
                place = chunk[-1][0]
                for picture in self.decoders.map(self._decoded, (cell for _, cell in chunk)):
                    if picture is not None:
                        images[count] = picture
                        count += 1
            if count < self.buffer:
                place = Place(place.passes + 1)
            self.rows = (place, rows) if count == self.buffer else None
        if not count:
            raise ValueError(f"{self.path}: there is no readable picture to train on in this process's shards.")
        order = np.random.default_rng((self.share.seed, self.share.index, *start)).permutation(count)
        return Block(start, place, torch.from_numpy(images[:count]), torch.from_numpy(order))

    def _rows(self, place: Place) -> Iterator[tuple[Place, dict]]:
        """Yields the remaining pictures of a pass, not decoded, each with the place after it."""
        index, count = self.share.index, self.share.count
        shared = self.shards.number < count  # then every process reads all shards, and takes its own rows
        mine = np.arange(self.shards.number) if shared else np.arange(index, self.shards.number, count)
        np.random.default_rng((self.share.seed, index, place.passes)).shuffle(mine)
        for turn in range(place.shards, len(mine)):
            shard = int(mine[turn])
            first = max(self.held[shard], place.row if turn == place.shards else 0)
            for row, cell in enumerate(self._read_shard(shard, first), first):
                if self.closed:
                    return
                if not shared or row % count == index:
                    yield Place(place.passes, turn, row + 1), cell

    def _hold_out(self, count: int) -> Tensor:
        """Holds out the first readable pictures, and counts the rows they take up."""
        images: list[NDArray[np.uint8]] = []
        for shard in range(self.shards.number):
            for cell in self._read_shard(shard, 0):
                if len(images) == count:
                    return torch.from_numpy(np.array(images, np.uint8).reshape(-1, 3, self.size, self.size))
                self.held[shard] += 1
                if (picture := self._decoded(cell)) is not None:
                    images.append(picture)
        if not images:
            raise ValueError(f"{self.path}: there is no readable picture.")
        raise ValueError(f"{self.path}: cannot hold out {count} of {len(images)}; choose a smaller --held-out.")

    def _read_shard(self, shard: int, first: int) -> Iterator[dict]:
        """Yields the pictures of a shard from a row on; raises ValueError if it cannot be read."""
        with in_one_sentence(self.shards.name(shard)):
            yield from self.shards.read(shard, first)

    def _decoded(self, cell: dict) -> NDArray[np.uint8] | None:
        """Decodes, crops and resizes a picture: (3, size, size); None if it cannot be used."""
        try:
            image = sources.picture_of(cell)
            return cut(image, centre_square(*image.size), self.size)
        except Exception:  # a damaged file makes decoders raise almost anything
            return None
