"""Mixed visitors on the page for half an hour: what they leave in memory, files and threads, and how long a fill takes.

    python -m benchmarks.soak [--minutes 30] [--visitors 6] [--out soak]

The server is a process of its own on loopback, with a temporary folder of its own. Each visitor has an address of its
own (127.0.1.x, so Linux only) and does one thing after another at a bounded rate, as a seeded generator draws them:
fills in all models, photos of several sizes and formats filled and downloaded, the API, searches that are stopped,
tabs that are closed in the middle of a search, and garbage. Between idle minutes before and after, the server's memory,
open files, threads and files on disk are sampled every five seconds into `soak.csv`, and a reference fill is timed.

Flat: under load, memory, open files and threads of the last fifth are at most 10 % above those of the second fifth; and
the processor time of the reference fill, idle, is at most 10 % above what it was before. Files on disk are kept for a
day by intent, so their growth is told beside the number of pictures that visitors brought.
"""

import argparse
import csv
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a file as well

from benchmarks.serving import page_process
from benchmarks.visiting import Visitor
from benchmarks.visits import ACTIONS, Left, finished, scene
from page.models import MODELS

EVERY = 5  # seconds between two samples
PAUSES = (1.0, 6.0)  # seconds between two things that a visitor does
REFERENCES = 8  # fills timed before and after
TOLERANCE = 0.10


@dataclass(frozen=True)
class Sample:
    """What the server holds at a moment."""

    seconds: float
    memory_mb: float
    open_files: int
    threads: int
    files: int  # on disk, visitors'
    disk_mb: float
    done: int  # things that visitors have done so far


def visit(page: str, address: str, seed: int, ended: threading.Event, counts: Counter) -> None:
    """One visitor after another from an address: a new tab each time, in which a few things are done."""
    draw = random.Random(seed)
    while not ended.is_set():
        try:
            with Visitor(page, address) as visitor, visitor.open_tab():
                for _ in range(draw.randint(1, 5)):
                    if ended.wait(draw.uniform(*PAUSES)):
                        return
                    (action,) = draw.choices(list(ACTIONS), ACTIONS.values())
                    action(visitor, draw)
                    counts[action.__name__] += 1
        except Left:
            counts["close"] += 1
        except (AssertionError, ValueError, KeyError, httpx.HTTPError) as error:
            counts[f"FAILED {type(error).__name__}: {error}"[:160]] += 1


def reference(page: str, process: psutil.Process, seed: int) -> tuple[float, float]:
    """A fill of 100 steps by a visitor of its own: seconds on the clock, and of the server's processor time."""
    with Visitor(page, "127.0.2.1") as visitor:
        begun, used = time.monotonic(), sum(process.cpu_times()[:2])
        finished(visitor, scene(random.Random(seed), "dcgan-celeba", steps=100))
        return time.monotonic() - begun, sum(process.cpu_times()[:2]) - used


def sample(process: psutil.Process, folder: Path, seconds: float, counts: Counter) -> Sample:
    sizes = []
    for path in folder.rglob("*"):
        try:
            sizes += [path.stat().st_size] if path.is_file() else []
        except FileNotFoundError:
            continue
    held = process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()
    return Sample(round(seconds, 1), *held, len(sizes), sum(sizes) / 1e6, sum(counts.values()))


def median(samples: list[Sample], name: str, fifth: int) -> float:
    """The median over a fifth of the time under load; the first is 0."""
    length = samples[-1].seconds / 5
    return statistics.median(getattr(s, name) for s in samples if fifth <= s.seconds / length <= fifth + 1)


def report(samples: list[Sample], idle: Sample, counts: Counter, references: dict[str, list]) -> bool:
    """Prints what was done and what it left; returns whether all is flat and nothing failed."""
    print("\n| what visitors did | times |\n|---|---|")
    for name, count in sorted(counts.items()):
        print(f"| {name} | {count} |")
    print("\n| of the server | second fifth | last fifth | growth | idle at the end |\n|---|---|---|---|---|")
    growths = {}
    for name in ("memory_mb", "open_files", "threads", "files", "disk_mb"):
        early, late = median(samples, name, 1), median(samples, name, 4)
        growths[name] = late / early - 1
        print(f"| {name} | {early:.0f} | {late:.0f} | {growths[name]:+.0%} | {getattr(idle, name):.0f} |")
    print("\n| reference fill | seconds: median | worst | processor seconds: median |\n|---|---|---|---|")
    for name, times in references.items():
        clock, used = zip(*times, strict=True)
        print(f"| {name} | {statistics.median(clock):.2f} | {max(clock):.2f} | {statistics.median(used):.2f} |")
    before, after = (statistics.median(used for _, used in references[name]) for name in ("before", "after"))
    growths = {name: growths[name] for name in ("memory_mb", "open_files", "threads")} | {"fill": after / before - 1}
    flat = all(growth <= TOLERANCE for growth in growths.values())
    failures = sum(count for name, count in counts.items() if name.startswith("FAILED"))
    print(f"\n{'Flat' if flat else 'NOT flat'} within {TOLERANCE:.0%}; {failures} failures in {sum(counts.values())}.")
    return flat and not failures


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="under load (default %(default)s)")
    parser.add_argument("--visitors", type=int, default=6, help="at once (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder for soak.csv (default %(default)s)")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    counts, ended, samples, during = Counter(), threading.Event(), [], []
    with tempfile.TemporaryDirectory() as folder, page_process(Path(folder)) as (page, started):
        process, files = psutil.Process(started.pid), Path(folder, "files")
        for name in MODELS:  # load each, and compile what is compiled once
            with Visitor(page) as visitor:
                finished(visitor, scene(random.Random(0), name))
        before = [reference(page, process, seed) for seed in range(REFERENCES)]
        threads = [
            threading.Thread(target=visit, args=(page, f"127.0.1.{number + 1}", number, ended, counts))
            for number in range(arguments.visitors)
        ]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        while (seconds := time.monotonic() - begun) < 60 * arguments.minutes:
            samples.append(sample(process, files, seconds, counts))
            if len(samples) % 12 == 0:
                during.append(reference(page, process, len(samples)))
            time.sleep(EVERY)
        ended.set()
        for thread in threads:
            thread.join()
        time.sleep(min(60, 6 * arguments.minutes))
        idle = sample(process, files, time.monotonic() - begun, counts)
        after = [reference(page, process, seed) for seed in range(REFERENCES)]
    with open(arguments.out / "soak.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(each) for each in [*samples, idle])
    return 0 if report(samples, idle, counts, {"before": before, "during": during, "after": after}) else 1


if __name__ == "__main__":
    sys.exit(main())
