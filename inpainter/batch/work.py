"""Parts of the list of pictures: what every engine reads, fills and writes at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from .filling import Job, Row
from .outputs import Output
from .sources import Item, Raw, Source

Part = tuple[Item, ...]
Advance = Callable[["Done"], None]  # called with the result of each part

DEATHS = 3  # a picture that has killed this many processes has failed
PART = 32  # pictures; a killed worker loses at most one part
PART_BYTES = 64 << 20  # of the pictures' files, so that a part of large photos fits into memory


@dataclass(frozen=True)
class Done:
    """The result of a part: how many pictures were filled, and the errors of the others."""

    filled: int
    errors: tuple[tuple[str, str], ...]  # (key, message)


@dataclass(frozen=True)
class Work:
    """The job with its input and output; sent to the worker processes and machines."""

    job: Job
    source: Source
    output: Output

    def read(self, part: Part) -> list[Raw]:
        return self.job.holes.read(part, self.source.read(part))

    def write(self, rows: Sequence[Row]) -> Done:
        """Writes a part; raises `StorageError`, which ends the run."""
        self.output.write(rows)
        errors = tuple((row.key, row.error) for row in rows if row.error is not None)
        return Done(len(rows) - len(errors), errors)


def refused(raw: Raw) -> Raw:
    """Replaces a picture that has killed `DEATHS` processes by an error."""
    return Raw(raw.key, error="the process that was filling it died, again and again.")


def parts_of(items: Iterable[Item], size: int, finished: set[str]) -> Iterator[Part]:
    """Cuts a list of pictures into parts of at most `size` from the same group, without the finished pictures.

    The cuts do not depend on what is finished, so a resumed run has the same parts.
    """
    for _, group in groupby(items, key=lambda item: item.group):
        part: list[Item] = []
        held = 0
        for item in group:
            if part and (len(part) == size or held + item.size > PART_BYTES):
                yield from _left(part, finished)
                part, held = [], 0
            part.append(item)
            held += item.size
        yield from _left(part, finished)


def _left(part: list[Item], finished: set[str]) -> Iterator[Part]:
    if left := tuple(item for item in part if item.key not in finished):
        yield left
