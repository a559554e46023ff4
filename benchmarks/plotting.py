"""Curves of what the searches cost and find."""

from pathlib import Path

import numpy as np

from inpainter.search import STEPS, fast

Cost = dict[str, dict[int, float]]  # by loop and batch size, the median seconds of a step
Trace = list[tuple[float, float]]  # (seconds, mean total loss)


def plot(path: Path, cost: Cost, traces: dict[str, Trace]) -> None:
    """Draws cost against batch size, cost against the number of pictures, and loss against time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    by_batch, by_count, by_time = figure.subplots(1, 3)
    usual = dict.fromkeys(cost, fast.STEPS) | {"textbook": STEPS, "paper": STEPS}
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
