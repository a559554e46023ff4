"""Seconds per picture of every way to fill, at several batch sizes and numbers of threads, as CSV.

    python -m benchmarks.pictures --models dcgan-celeba comod-celeba-64 --out docs/results/speed.csv

All ways take turns in rounds, and medians are given, so that a machine that is busy meanwhile slows all of them. The
textbook loop and the paper's mode take 1,500 equal steps, of which some are timed. Holes are centres.
"""

import argparse
import csv
import io
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.loops import Loop, Problem, textbook
from benchmarks.measuring import seconds
from benchmarks.search import read_pictures
from inpainter import Inpainter, Settings, files, masks
from inpainter.devices import device_from_name
from inpainter.search import STEPS, search

TIMED_STEPS = {1: 16, 8: 8}  # of 1,500, by the number of pictures at once; else the fewest
COLUMNS = ("model", "way", "pictures", "threads", "device", "seconds", "lowest", "highest")
FILLS = {"default": Settings(), "proposal": Settings(steps=0)}


def options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--models", nargs="+", default=["dcgan-celeba", "comod-celeba-64"], help="bundled, folder or id"
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="CSV file")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = options(argv)
    device, usual = device_from_name(arguments.device), torch.get_num_threads()
    rows = []
    for threads, size in itertools.product(arguments.threads, arguments.batch_sizes):
        torch.set_num_threads(threads)
        ways = {}
        for name in arguments.models:
            ways |= {(name, way): run for way, run in ways_to_fill(name, size, device).items()}
        times = {way: [] for way in ways}
        for turn in tqdm(range(arguments.rounds + 1), desc=f"{threads} thread(s), {size} at once"):
            for way, run in ways.items():
                taken = run() / size
                if turn:  # the first warms up
                    times[way].append(taken)
        for (name, way), values in times.items():
            figures = (statistics.median(values), min(values), max(values))
            rows.append((name, way, size, threads, device.type, *(f"{value:.4f}" for value in figures)))
            print(dict(zip(COLUMNS, rows[-1], strict=True)), flush=True)
    torch.set_num_threads(usual)
    if arguments.out:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([COLUMNS, *rows])
        files.write_text(arguments.out, text.getvalue())


def ways_to_fill(name: str, count: int, device: torch.device) -> dict[str, Callable[[], float]]:
    """Functions that fill `count` pictures and return the seconds that takes, by what they are called."""
    inpainter = Inpainter.from_pretrained(name, device=device)
    examples = read_pictures(name, None, count, inpainter.size)
    pictures = examples[np.arange(count) % len(examples)]
    holes = np.stack([masks.center(inpainter.size)] * count)
    ways = {
        way: partial(seconds, partial(inpainter, pictures, holes, settings), time.perf_counter, device)
        for way, settings in FILLS.items()
    }
    if inpainter.model.conditional:
        return ways
    problem = Problem(pictures, holes, inpainter.model.sample_latents(count))
    plain = Inpainter.from_pretrained(name, device=device).model.to(memory_format=torch.contiguous_format)
    ways["textbook"] = partial(all_steps, textbook(plain, device), problem, device)
    for precision in ("float32", "bfloat16"):
        ways[f"paper, {precision}"] = partial(all_steps, paper(inpainter, precision), problem, device)
    return ways


def paper(inpainter: Inpainter, precision: str) -> Loop:
    def loop(problem: Problem, steps: int, callback=None) -> torch.Tensor:
        tensors = problem.tensors(inpainter.device)
        return search(inpainter.model, *tensors, steps=steps, precision=precision, callback=callback).z

    return loop


def all_steps(loop: Loop, problem: Problem, device: torch.device) -> float:
    """Seconds of a search of 1,500 steps, by the difference of two short ones."""
    steps = TIMED_STEPS.get(len(problem.pictures), min(TIMED_STEPS.values()))
    one, more = (seconds(partial(loop, problem, n, None), time.perf_counter, device) for n in (1, 1 + steps))
    return (more - one) / steps * STEPS


if __name__ == "__main__":
    main()
