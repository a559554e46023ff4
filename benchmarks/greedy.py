"""Twenty visitors beside one greedy client: how long their fills take with it and without it.

    python -m benchmarks.greedy [--visitors 20] [--greedy 40]

The visitors come from addresses of their own (Linux only) and press Run at the same moment. The greedy client has one
address and many sessions; each asks for the longest searches that the page offers, again and again, and listens.
Held: all visitors are served, and the slowest waits three times as long as the median one without the client, at most.
"""

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a file as well

from benchmarks.serving import page_process
from benchmarks.visiting import Visitor
from benchmarks.visits import finished, scene

MODEL = "dcgan-celeba"
LONGEST = {"mode": "paper", "steps": 1500, "candidates": 6}
AHEAD = 10  # seconds that the greedy client is there before the others come


def timed_fill(page: str, number: int, together: threading.Barrier) -> float:
    """Seconds from a visitor's Run to the filled picture."""
    with Visitor(page, f"127.0.3.{number + 1}") as visitor:
        together.wait()
        begun = time.monotonic()
        finished(visitor, scene(random.Random(number), MODEL, steps=50))
        return time.monotonic() - begun


def crowd(page: str, visitors: int) -> list[float]:
    """The seconds of all visitors, who come together; raises AssertionError if one is not served."""
    together = threading.Barrier(visitors)
    with ThreadPoolExecutor(visitors) as pool:
        return sorted(pool.map(lambda number: timed_fill(page, number, together), range(visitors)))


def be_greedy(page: str, number: int, ended: threading.Event) -> None:
    """One session of the greedy client, until the end."""
    while not ended.is_set():
        try:
            with Visitor(page, "127.0.4.1") as visitor:
                for _ in visitor.fill(scene(random.Random(number), MODEL, **LONGEST)):
                    if ended.is_set():
                        return
        except (httpx.HTTPError, ValueError):
            time.sleep(1)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visitors", type=int, default=20, help="(default %(default)s)")
    parser.add_argument("--greedy", type=int, default=40, help="sessions of the greedy client (default %(default)s)")
    arguments = parser.parse_args(argv)
    ended = threading.Event()
    with tempfile.TemporaryDirectory() as folder, page_process(Path(folder)) as (page, _):
        crowd(page, 2)  # to warm up
        without = crowd(page, arguments.visitors)
        sessions = [threading.Thread(target=be_greedy, args=(page, n, ended)) for n in range(arguments.greedy)]
        for session in sessions:
            session.start()
        time.sleep(AHEAD)
        beside = crowd(page, arguments.visitors)
        ended.set()
    print(f"| {arguments.visitors} visitors | median, s | worst, s |\n|---|---|---|")
    for name, times in (("alone", without), ("beside the greedy client", beside)):
        print(f"| {name} | {statistics.median(times):.1f} | {times[-1]:.1f} |")
    ratio = beside[-1] / statistics.median(without)
    print(f"\nAll served; the worst beside it is {ratio:.2f} times the median without it (at most 3 is held).")
    return 0 if ratio <= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
