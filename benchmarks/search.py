"""The search beside the loop that other implementations write: time of a step, of a picture, and what it finds.

    python -m benchmarks.search [--data PICTURES] [--plot search.png]

The textbook loop is plain PyTorch: float32, channels first, the modules in evaluation mode with frozen
weights, torch.optim.Adam on z, autograd. All sides have the same weights, pictures and holes and take
turns in rounds; medians are compared, so that a machine that is busy meanwhile slows all of them.
Searches run for all pictures at once, which changes nothing in what they find; the seconds given are
those of one picture searched by itself: its steps at the median time of a step.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a file as well

from inpainter import Inpainter, blending, fast, losses, masks, metrics
from inpainter import images as img
from inpainter.hub import locate
from inpainter.objective import quick_dtype
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT, STEPS, SearchState, search

TOLERANCE = 0.01  # of the total loss, between the textbook loop and the paper's mode; see `agreement`
AGREEMENT_STEPS = 25
STEPS_A_ROUND = 2 * fast.PRIOR_EVERY  # so that the prior has its share
Trace = list[tuple[float, float]]  # (seconds, mean total loss)


@dataclass(frozen=True)
class Problem:
    """Pictures uint8 (N, H, W, 3), their holes bool (N, H, W), and codes (N, latent_size) to start from."""

    pictures: NDArray[np.uint8]
    holes: NDArray[np.bool_]
    codes: Tensor

    def first(self, count: int) -> "Problem":
        """As many pictures as asked for, repeated where there are too few."""
        rows = np.arange(count) % len(self.pictures)
        return Problem(self.pictures[rows], self.holes[rows], self.codes[rows])

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        pictures, holes = img.to_tensor(self.pictures, device), torch.from_numpy(self.holes).to(device)
        return pictures, holes, self.codes.to(device)


Loop = Callable[[Problem, int, Callable[[int, SearchState], None] | None], Tensor]


def textbook(model: torch.nn.Module, device: torch.device) -> Loop:
    """(problem, steps, callback) to codes (N, latent_size), by the loop that people write."""

    def loop(problem: Problem, steps: int, callback=None) -> Tensor:
        pictures, holes, codes = problem.tensors(device)
        weights = losses.importance_weights(holes)
        z = codes.clone().requires_grad_()
        adam = torch.optim.Adam([z], lr=LEARNING_RATE)
        for step in range(steps):
            images = model.generator(z)
            context = (weights * (images - pictures)).abs().sum((1, 2, 3))
            prior = -torch.nn.functional.softplus(model.discriminator(images)).squeeze(1)
            loss = context + PRIOR_WEIGHT * prior
            if callback:
                callback(step, SearchState(step, z, images, context, prior, loss))
            adam.zero_grad()
            loss.sum().backward()
            adam.step()
            with torch.no_grad():
                z.clamp_(-1, 1)
        return z.detach()

    return loop


def paper(model: torch.nn.Module, device: torch.device) -> Loop:
    def loop(problem: Problem, steps: int, callback=None) -> Tensor:
        return search(model, *problem.tensors(device), steps=steps, callback=callback).z

    return loop


def quick(model: torch.nn.Module, device: torch.device) -> Loop:
    def loop(problem: Problem, steps: int, callback=None) -> Tensor:
        return fast.fast_search(model, *problem.tensors(device), steps=steps, callback=callback).z

    return loop


def with_best_codes(model: torch.nn.Module, problem: Problem, device: torch.device) -> Problem:
    """The problem with the codes that the fast mode would start from."""
    pictures, holes, _ = problem.tensors(device)
    candidates = model.sample_latents(fast.CANDIDATES, torch.Generator().manual_seed(0)).to(device)
    return replace(problem, codes=fast.best_codes(model, pictures, holes, candidates)[:, 0])


def seconds(run: Callable[[], object], clock: Callable[[], float], device: torch.device) -> float:
    """What a call takes, with a GPU's work done by the end."""
    started = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - started


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


def evaluate(model: torch.nn.Module, problem: Problem, codes: Tensor, device: torch.device) -> NDArray[np.float64]:
    """(N, 3): the total loss of codes, and PSNR in the hole and SSIM of the blended pictures."""
    pictures, holes, _ = problem.tensors(device)
    with torch.no_grad():
        images = model.generate(codes)
        context = losses.context_loss(images, pictures, losses.importance_weights(holes))
        total = context + PRIOR_WEIGHT * model.prior_loss(images, codes)
        filled = img.to_uint8(blending.compose(pictures.cpu(), images.cpu(), holes.cpu()))
    scores = total.cpu().numpy(), metrics.psnr(filled, problem.pictures, problem.holes)
    return np.stack([*scores, metrics.ssim(filled, problem.pictures)], axis=1).astype(np.float64)


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
        from train.data import load_images

        return load_images(data, size)[-count:].permute(0, 2, 3, 1).numpy().copy()
    files = sorted((locate(model) / "examples").glob("*.png"))[:count]
    if not files:
        raise ValueError(f"{model}: this model has no example pictures; give some with --data.")
    return np.stack([np.asarray(img.read_image(file)) for file in files])


def options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="dcgan-celeba", help="bundled model, folder or Hub id (default %(default)s)")
    parser.add_argument("--data", help="held-out pictures: folder or zip, of which the last are taken")
    parser.add_argument("--pictures", type=int, default=4, help="a mask (default %(default)s)")
    parser.add_argument("--masks", nargs="+", choices=masks.NAMES, default=["center"])
    parser.add_argument("--steps", type=int, default=STEPS, help="of the textbook loop (default %(default)s)")
    parser.add_argument("--fast-steps", type=int, nargs="+", default=[100, fast.STEPS, 800])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only-steps", action="store_true", help="time steps, but run no whole searches")
    parser.add_argument(
        "--cpu-time", action="store_true", help="this process's own time: on a machine shared with others"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--plot", type=Path, help="a picture file for curves of cost and quality")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = options(argv)
    device = img.device_from_name(arguments.device)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    inpainter = Inpainter.from_pretrained(arguments.model, device=device)
    plain = Inpainter.from_pretrained(arguments.model, device=device).model.to(memory_format=torch.contiguous_format)
    model = inpainter.model
    loops = {"textbook": textbook(plain, device), "paper": paper(model, device), "fast": quick(model, device)}
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
    dtype = str(quick_dtype(device)).removeprefix("torch.")
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
    traces = {} if arguments.only_steps else search_table(loops, model, problems, cost, arguments, clock, device)
    if arguments.plot:
        plot(arguments.plot, cost, traces)


Cost = dict[str, dict[int, float]]  # by loop and batch size, the median seconds of a step


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


def search_table(loops, model, problems, cost: Cost, arguments, clock, device) -> dict[str, Trace]:
    """Prints what whole searches take and find; returns the loss over time for the first mask."""
    size = min(arguments.batch_sizes)
    runs = [("textbook", arguments.steps), ("paper", arguments.steps), *(("fast", s) for s in arguments.fast_steps)]
    traces: dict[str, Trace] = {}
    print(
        f"\n| mask | search | seconds a picture, {size} at once | share of time | total loss | PSNR, hole (dB) | SSIM |"
    )
    print("|---|---|---|---|---|---|---|")
    for mask, problem in problems.items():
        alone = problem.first(size)
        choice = statistics.median(
            seconds(partial(with_best_codes, model, alone, device), clock, device) for _ in range(5)
        )
        starts = {"fast": with_best_codes(model, problem, device)}
        for name, steps in runs:
            a_step, before = cost[name][size] / size, choice / size if name in starts else 0
            trace: Trace = []

            def watch(step: int, state: SearchState, trace=trace, a_step=a_step, before=before) -> None:
                trace.append((before + (step + 1) * a_step, float(state.loss.detach().mean())))

            codes = loops[name](starts.get(name, problem), steps, watch)
            traces.setdefault(f"{name}, {steps} steps", trace)
            taken = before + steps * a_step
            share = taken * size / (arguments.steps * cost["textbook"][size])
            loss, psnr, ssim = evaluate(model, problem, codes, device).mean(axis=0)
            print(
                f"| {mask} | {name}, {steps} steps | {taken:.2f} | 1/{1 / share:.1f} | {loss:.2f} | {psnr:.2f} "
                f"| {ssim:.4f} |",
                flush=True,
            )
    return traces


def plot(path: Path, cost: Cost, traces: dict[str, Trace]) -> None:
    """Draws cost against batch size, cost against the number of pictures, and loss against time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    by_batch, by_count, by_time = figure.subplots(1, 3)
    usual = {"textbook": STEPS, "paper": STEPS, "fast": fast.STEPS}
    for name, times in cost.items():
        sizes = np.array(list(times))
        a_step = np.array(list(times.values()))
        by_batch.plot(sizes, 1e3 * a_step / sizes, "o-", label=name)
        by_count.plot(sizes, a_step * usual[name], "o-", label=f"{name}, {usual[name]} steps")
    by_batch.set(xlabel="pictures at once", ylabel="ms a step and picture", xscale="log", yscale="log")
    by_count.set(xlabel="pictures, all at once", ylabel="seconds", xscale="log", yscale="log")
    for name, trace in traces.items():
        by_time.plot(*np.array(trace).T, label=name)
    by_time.set(xlabel="seconds a picture", ylabel="total loss", xscale="log", yscale="log")
    for axes in (by_batch, by_count, by_time):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
