"""What every engine does with a part of the pictures: read it, fill it, write it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from .filling import Job, Row
from .outputs import Output
from .sources import Item, Raw, Source

Part = tuple[Item, ...]
Advance = Callable[["Done"], None]  # told what was done, part by part

DEATHS = 3  # of the process that fills a picture, after which the picture is a failure
PART = 32  # pictures; what a killed worker has to do again
PART_BYTES = 64 << 20  # of their files, so that a part of large photos fits into memory


@dataclass(frozen=True)
class Done:
    """What came of a part: how many pictures were filled, and why the others were not."""

    filled: int
    errors: tuple[tuple[str, str], ...]  # (key, why)


@dataclass(frozen=True)
class Work:
    """What is to be done, from where to where; travels to the processes and machines that do it."""

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
    """In place of a picture that has killed `DEATHS` processes, one with an error."""
    return Raw(raw.key, error="the process that was filling it died, again and again.")


def parts_of(items: Iterable[Item], size: int, finished: set[str]) -> Iterator[Part]:
    """Cuts a list of pictures into parts of one group, then leaves out what is finished.

    Where the cuts are does not depend on what is finished: a part that a killed run had begun is the same part again.
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
