"""Training pictures streamed from shards, for sets that are too large to be decoded into memory.

Shards are tars in WebDataset's layout, wherever fsspec finds them; or what the package `datasets` streams, Parquet and
the Hub's data sets. (It streams tars as well, but, as of its version 5.2, not from S3.) Each of several processes has
shards of its own. It goes through them in an order drawn anew for every pass, and reads a block of pictures ahead while
it deals out another one, shuffled: two blocks are all that is in memory.

The seed decides all orders, and a checkpoint records where every process was: a resumed run sees the pictures that
it would have seen had it never stopped.
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
    """Whether `--data` names shards: tars, a pattern of Parquet files, or anything behind a URL."""
    return "://" in path or path.endswith(".tar") or ("*" in path and path.endswith(".parquet"))


class Shards(Protocol):
    """Pictures in files that can be read one beside the other."""

    number: int

    def read(self, shard: int, first: int) -> Iterator[dict]:
        """The pictures of a shard from a row on, in cells as `sources.picture_of` takes them."""


class Tars:
    """Tars in WebDataset's layout: the picture files in them, whatever lies beside them."""

    def __init__(self, path: str):
        self.files = fsspec.open_files(expanded(path), "rb")
        self.number = len(self.files)

    def read(self, shard: int, first: int) -> Iterator[dict]:
        with self.files[shard] as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            pictures = (member for member in tar if member.isfile() and sources.is_picture(member.name))
            for member in islice(pictures, first, None):
                yield {"path": member.name, "bytes": tar.extractfile(member).read()}


class Rows:
    """A dataset of the package `datasets`, of Parquet or from the Hub."""

    def __init__(self, path: str):
        hub = HUB.fullmatch(path)
        where = {} if hub else {"data_files": expanded(path)}
        name, split = (hub[1], hub[2] or "") if hub else ("parquet", "train")
        dataset = sources.load_dataset(path, name, split, streaming=True, **where)
        self.rows, self.column = sources.only_pictures(dataset, path)
        self.number = self.rows.num_shards

    def read(self, shard: int, first: int) -> Iterator[dict]:
        for row in self.rows.shard(self.number, shard).skip(first):
            yield row[self.column]


def shards_at(path: str) -> Shards:
    """The shards that `--data` names.

    Args:
        path: a URL or local name of tars or Parquet files, with * or {000..099} in it for several; or a data set
            of the Hub, hf://datasets/user/name or hf://datasets/user/name:split.

    Raises:
        ValueError: when it is none of these, or nothing is there.
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
    """The names that a range of numbers in braces stands for: a-{08..10}.tar is a-08.tar, a-09.tar, a-10.tar."""
    if not (found := RANGE.search(path)):
        return [path]
    first, last = found.groups()
    numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return [name for number in numbers for name in expanded(path[: found.start()] + number + path[found.end() :])]


class Place(NamedTuple):
    """Where a process is in its shards: passes done, shards of this pass done, rows of the next shard done."""

    passes: int = 0
    shards: int = 0
    row: int = 0


@dataclass(frozen=True)
class Block:
    """Pictures that are shuffled among each other, between two places."""

    start: Place
    end: Place
    images: Tensor  # uint8 (N, 3, size, size)
    order: Tensor  # in which they are dealt out: a permutation, int64 (N,)


class Stream:
    """One process's share of the pictures in shards, as batches.

    Args:
        path: as `shards_at` takes it.
        size: pixels a side; pictures are cut to their centre squares and resized.
        held_out: how many pictures are kept for validation, the first ones of the first shards.
        buffer: pictures in a block.
        share: of the process.

    Raises:
        ValueError: as `shards_at`, and when not even the pictures held out are there.
    """

    def __init__(self, path: str, size: int, held_out: int, buffer: int, share: Share):
        self.path, self.shards = path, shards_at(path)
        self.size, self.buffer, self.share = size, buffer, share
        self.decoders, self.reader = ThreadPoolExecutor(os.cpu_count()), ThreadPoolExecutor(1)
        self.closed = False
        self.held: Counter[int] = Counter()  # rows of each shard that are not trained on
        self.held_out = self._hold_out(held_out)
        self.block: Block | None = None  # the one that is dealt out
        self.used = 0  # pictures of it
        self.rows: tuple[Place, Iterator[tuple[Place, dict]]] | None = None  # where the last block ends, what follows
        self.coming: Future[Block] | None = None
        if share.index == 0 and self.shards.number % share.count:
            logger.warning(
                "%s: %d shards cannot be dealt out evenly to %d processes, so some pictures are seen more often",
                *(path, self.shards.number, share.count),
            )

    @property
    def images(self) -> Tensor:
        """Some pictures that are trained on: uint8 (N, 3, size, size)."""
        return self._block().images

    def about(self) -> dict[str, int]:
        """What else decides the batches; a resumed run has to repeat it."""
        return {"shards": self.shards.number, "shuffle_buffer": self.buffer, "held_out": len(self.held_out)}

    def batch(self, step: int) -> Tensor:
        """The next pictures, uint8 (batch_size, 3, size, size); a stream only goes on, whatever the step."""
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
        """Where this process is: the start of its block, and how much of that it has dealt out."""
        return [*self._block().start, self.used]

    def go_to(self, position: list[int]) -> None:
        """Goes on from a position of an earlier run."""
        *start, used = position
        self.block = self._read(Place(*start))
        self.used = used

    def close(self) -> None:
        """Stops reading ahead."""
        self.closed = True
        for pool in (self.reader, self.decoders):
            pool.shutdown(wait=False, cancel_futures=True)

    def _block(self) -> Block:
        """The block that is being dealt out; the one after it is read meanwhile."""
        if self.block is None:
            self.block = self.coming.result() if self.coming else self._read(Place())
            self.coming, self.used = None, 0
        if self.coming is None:
            self.coming = self.reader.submit(self._read, self.block.end)
        return self.block

    def _read(self, start: Place) -> Block:
        """Reads the next block of pictures that can be used; it ends with the pass, if not before."""
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
        """What is left of a pass: pictures as they are in the shards, each with the place after it."""
        index, count = self.share.index, self.share.count
        shared = self.shards.number < count  # then all processes read all shards, and each takes rows of its own
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
        """Takes the first readable pictures, and notes the rows that it went through."""
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
        """The pictures of a shard from a row on; raises ValueError where it cannot be read."""
        with in_one_sentence(f"{self.path}: shard {shard}"):
            yield from self.shards.read(shard, first)

    def _decoded(self, cell: dict) -> NDArray[np.uint8] | None:
        """A picture cut and resized: (3, size, size); None if it cannot be used."""
        try:
            image = sources.picture_of(cell)
            return cut(image, centre_square(*image.size), self.size)
        except Exception:  # a damaged file makes decoders raise almost anything
            return None
