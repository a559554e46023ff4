"""The search beside the loop that other implementations write: time of a step, of a picture, and what it finds.

    python -m benchmarks.search [--data PICTURES] [--plot search.png]
    python -m benchmarks.search --data PICTURES --pictures 50 --masks center pattern random half --cpu-time --memory

The second is the whole comparison, an hour and a half on two cores, and says which of its aims are met. With
`--loops fast "fast, no anchor"` it does without the paper's mode, which finds what the textbook loop finds.

The textbook loop is plain PyTorch: float32, channels first, the modules in evaluation mode with frozen
weights, torch.optim.Adam on z, autograd. All sides have the same weights, pictures and holes and take
turns in rounds; medians are compared, so that a machine that is busy meanwhile slows all of them.
Searches run for several pictures at once, which changes nothing in what they find; the seconds given are
those of one picture searched by itself: the choice of its code, its steps at the median time of a step, and
its refinement, which the fast mode ends with.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a file as well

from benchmarks.loops import Loop, Problem, evaluate, paper, quick, refined, run_search, textbook, with_chosen_codes
from benchmarks.measuring import peak_memory, seconds
from benchmarks.plotting import Cost, Trace, plot
from inpainter import Inpainter, masks, reading
from inpainter.devices import device_from_name, quick_precision
from inpainter.hub import locate
from inpainter.search import STEPS, fast

TOLERANCE = 0.01  # of the total loss, between the textbook loop and the paper's mode; see `agreement`
AGREEMENT_STEPS = 25
STEPS_A_ROUND = 2 * fast.PRIOR_EVERY  # so that the prior has its share
PAPER_SPEED = {1: 1.4, 8: 2.0}  # by batch size, how many times as fast as the textbook loop a step should be
QUALITY_SHARE, LOSS_SHARE = 20, 8  # of the textbook loop's time, in which the fast mode should find as much
NO_ANCHOR = "fast, no anchor"
LOOPS = ("textbook", "paper", "fast", NO_ANCHOR)


def step_times(
    loops: dict[str, Loop], problem: Problem, rounds: int, clock: Callable[[], float], device: torch.device
) -> dict[str, list[float]]:
    """Seconds a step, one value a round: by the difference of two searches, so that what comes first is not in it."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name, loop in loops.items():
            some, more = (
                seconds(lambda loop=loop, steps=steps: loop(problem, steps, None), clock, device)
                for steps in (1, 1 + STEPS_A_ROUND)
            )
            if turn:  # the first warms up
                times[name].append((more - some) / STEPS_A_ROUND)
    return times


def agreement(loops: dict[str, Loop], model: torch.nn.Module, problem: Problem, device: torch.device) -> float:
    """The largest relative difference in total loss between the textbook loop and the paper's mode.

    After a few steps only: rounding differs, and a search amplifies any difference until two runs of
    the same quality end in different places.
    """
    plain, own = (
        evaluate(model, problem, loops[name](problem, AGREEMENT_STEPS, None), device)[:, 0]
        for name in ("textbook", "paper")
    )
    return float(np.abs(own / plain - 1).max())


def read_pictures(model: str, data: str | None, count: int, size: int) -> NDArray[np.uint8]:
    """The last `count` pictures of a folder or zip, or the first examples in the model's folder: (N, H, W, 3)."""
    if data:
        from train.data.loading import load_images

        return load_images(data, size)[-count:].permute(0, 2, 3, 1).numpy().copy()
    files = sorted((locate(model) / "examples").glob("*.png"))[:count]
    if not files:
        raise ValueError(f"{model}: this model has no example pictures; give some with --data.")
    return np.stack([np.asarray(reading.read_image(file)) for file in files])


def options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="dcgan-celeba", help="bundled model, folder or Hub id (default %(default)s)")
    parser.add_argument("--data", help="held-out pictures: folder or zip, of which the last are taken")
    parser.add_argument("--pictures", type=int, default=4, help="a mask (default %(default)s)")
    parser.add_argument("--masks", nargs="+", choices=masks.NAMES, default=["center"])
    parser.add_argument("--steps", type=int, default=STEPS, help="of the textbook loop (default %(default)s)")
    parser.add_argument("--fast-steps", type=int, nargs="+", default=[50, fast.STEPS, 300])
    parser.add_argument(
        "--loops",
        nargs="+",
        choices=LOOPS,
        default=LOOPS,
        help="whose whole searches to run beside the textbook loop's (default all)",
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only-steps", action="store_true", help="time steps, but run no whole searches")
    parser.add_argument(
        "--cpu-time", action="store_true", help="this process's own time: on a machine shared with others"
    )
    parser.add_argument("--memory", action="store_true", help="measure the peak memory of each batch size as well")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--plot", type=Path, help="a picture file for curves of cost and quality")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = options(argv)
    device = device_from_name(arguments.device)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    inpainter = Inpainter.from_pretrained(arguments.model, device=device)
    plain = Inpainter.from_pretrained(arguments.model, device=device).model.to(memory_format=torch.contiguous_format)
    model = inpainter.model
    loops = {"textbook": textbook(plain, device), "paper": paper(model, device), "fast": quick(model, device)}
    if inpainter.encoder:  # the anchor keeps the picture near the proposal, at the price of the loss
        loops[NO_ANCHOR] = quick(model, device, anchor=0)
    pictures = read_pictures(arguments.model, arguments.data, arguments.pictures, inpainter.size)
    problems = {
        mask: Problem(
            pictures,
            np.stack([masks.named(mask, inpainter.size, seed) for seed in range(len(pictures))]),
            torch.cat([model.sample_latents(1, torch.Generator().manual_seed(seed)) for seed in range(len(pictures))]),
        )
        for mask in arguments.masks
    }
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)"
    dtype = quick_precision(device)
    print(f"{kind}; torch {torch.__version__}; features of both modes in {dtype}; {len(pictures)} pictures a mask\n")
    first = next(iter(problems.values()))
    cost = step_table(loops, first, arguments, clock, device)
    difference = agreement(loops, plain, first, device)
    print(
        f"\nAfter {AGREEMENT_STEPS} steps the total losses of textbook and paper differ by {difference:.1e} at most",
        end="",
    )
    print(f" (allowed: {TOLERANCE}).")
    if difference > TOLERANCE:
        raise SystemExit("error: the paper's mode does not do what the textbook loop does.")
    print("\n".join(speed_criteria(cost)))
    if arguments.memory:
        memory_table(arguments, device)
    traces = {} if arguments.only_steps else search_table(loops, inpainter, problems, cost, arguments, clock, device)
    if arguments.plot:
        plot(arguments.plot, cost, traces)


def is_fast(loop: str) -> bool:
    return loop.startswith("fast")


def step_table(loops, problem, arguments, clock, device) -> Cost:
    """Prints and returns what a step takes."""
    cost: Cost = {name: {} for name in loops}
    print("| pictures at once | loop | ms a step and picture (median) | lowest to highest | times as fast |")
    print("|---|---|---|---|---|")
    for size in arguments.batch_sizes:
        times = step_times(loops, problem.first(size), arguments.rounds, clock, device)
        for name, values in times.items():
            cost[name][size] = statistics.median(values)
            ratio = cost["textbook"][size] / cost[name][size]
            low, middle, high = (1e3 * v / size for v in (min(values), cost[name][size], max(values)))
            print(f"| {size} | {name} | {middle:.2f} | {low:.2f} to {high:.2f} | {ratio:.2f} |", flush=True)
    return cost


@dataclass(frozen=True)
class Outcome:
    """A search's means over the pictures of a mask; `share` is of the textbook loop's time."""

    share: float
    loss: float
    psnr: float
    ssim: float


def search_table(loops, inpainter, problems, cost: Cost, arguments, clock, device) -> dict[str, Trace]:
    """Prints what whole searches take and find; returns the loss over time for the first mask."""
    size = min(arguments.batch_sizes)
    searched = [name for name in loops if name in {"textbook", *arguments.loops}]
    steps_of = {name: arguments.fast_steps if is_fast(name) else [arguments.steps] for name in searched}
    runs = [(name, steps) for name, several in steps_of.items() for steps in several]
    traces: dict[str, Trace] = {}
    found: dict[tuple[str, int], list[Outcome]] = {run: [] for run in runs}
    print(
        f"\n| mask | search | seconds a picture, {size} at once | share of time | total loss | PSNR, hole (dB) | SSIM |"
    )
    print("|---|---|---|---|---|---|---|")
    for mask, problem in problems.items():
        choose = partial(with_chosen_codes, inpainter, problem.first(size))
        choice = statistics.median(seconds(choose, clock, device) for _ in range(5))
        chosen = with_chosen_codes(inpainter, problem)
        refine = partial(refined, inpainter.model, chosen.first(size), chosen.first(size).codes, device)
        refinement = statistics.median(seconds(refine, clock, device) for _ in range(5))
        beside = {name: choice + refinement for name in loops if is_fast(name)}
        for name, steps in runs:
            a_step, before = cost[name][size] / size, beside.get(name, 0) / size
            codes, curve = run_search(loops[name], chosen if is_fast(name) else problem, steps, f"{mask}, {name}")
            times = before + a_step * np.arange(1, len(curve) + 1)
            traces.setdefault(f"{name}, {steps} steps", list(zip(times, curve, strict=True)))
            taken = before + steps * a_step
            share = taken * size / (arguments.steps * cost["textbook"][size])
            images = refined(inpainter.model, problem, codes, device) if is_fast(name) else None
            outcome = Outcome(share, *evaluate(inpainter.model, problem, codes, device, images).mean(axis=0))
            found[name, steps].append(outcome)
            print(row(mask, f"{name}, {steps} steps", taken, outcome), flush=True)
    means = {run: Outcome(*np.mean([astuple(o) for o in outcomes], axis=0)) for run, outcomes in found.items()}
    for (name, steps), mean in means.items():
        taken = mean.share * arguments.steps * cost["textbook"][size] / size
        print(row("all", f"{name}, {steps} steps", taken, mean))
    print()
    print("\n".join(quality_criteria(means, arguments.steps)))
    return traces


def row(mask: str, name: str, taken: float, found: Outcome) -> str:
    times = 1 / found.share
    return f"| {mask} | {name} | {taken:.2f} | 1/{times:.1f} | {found.loss:.2f} | {found.psnr:.2f} | {found.ssim:.4f} |"


def quality_criteria(means: dict[tuple[str, int], Outcome], textbook_steps: int) -> list[str]:
    """Whether the fast mode finds what the textbook loop finds, each in its share of the time."""
    target = means["textbook", textbook_steps]
    fast_runs = {run: mean for run, mean in sorted(means.items(), key=lambda item: item[1].share) if is_fast(run[0])}
    reached = {
        f"PSNR and SSIM, in at most 1/{QUALITY_SHARE}": (
            QUALITY_SHARE,
            lambda m: min(m.psnr - target.psnr, m.ssim - target.ssim) >= 0,
        ),
        f"total loss, in at most 1/{LOSS_SHARE}": (LOSS_SHARE, lambda m: m.loss <= target.loss),
    }
    lines = []
    for name, (share, enough) in reached.items():
        first = next((run for run, mean in fast_runs.items() if enough(mean)), None)
        if first is None:
            lines.append(f"Textbook's {name} of its time: not met, as none of the fast searches reaches it.")
        else:
            (loop, steps), times = first, 1 / fast_runs[first].share
            met = verdict(times >= share)
            lines.append(f"Textbook's {name} of its time: {met}, {loop}, {steps} steps take 1/{times:.1f}.")
    return lines


def speed_criteria(cost: Cost) -> list[str]:
    """Whether a step of the paper's mode is as much faster than the textbook loop's as it should be."""
    lines = []
    for size, least in PAPER_SPEED.items():
        if size in cost["paper"]:
            times = cost["textbook"][size] / cost["paper"][size]
            lines.append(
                f"Paper mode at batch {size} at least {least}x as fast: {verdict(times >= least)}, {times:.2f}x."
            )
    return lines


def verdict(met: bool) -> str:
    return "met" if met else "not met"


def search_once(model: str, mask: str, device: torch.device, size: int) -> None:
    """A few fast steps for so many pictures, for what they hold in memory; needs nothing from this process."""
    inpainter = Inpainter.from_pretrained(model, device=device)
    shape = (size, inpainter.size, inpainter.size)
    pictures, holes = np.zeros((*shape, 3), np.uint8), np.broadcast_to(masks.named(mask, inpainter.size), shape)
    inpainter(pictures, holes, mode="fast", steps=2, batch_size=size, blend="overlay")


def memory_table(arguments, device: torch.device) -> None:
    what = "of the GPU" if device.type == "cuda" else "of the whole process"
    print(f"\n| pictures at once | peak memory {what} (MB), fast mode |\n|---|---|")
    for size in arguments.batch_sizes:
        peak = peak_memory(search_once, device, arguments.model, arguments.masks[0], device, size)
        print(f"| {size} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
