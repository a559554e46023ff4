"""Training monitoring: the log, its curves, and warnings."""

import io
import json
import logging
import math
from pathlib import Path

import numpy as np
from torch import Tensor

from inpainter import files

LOG_NAME, CURVES_NAME = "metrics.jsonl", "curves.png"

logger = logging.getLogger(__name__)

# Healthy runs on faces, cars and house numbers stay far from these limits; there are no warnings before SETTLED_STEPS.
SETTLED_STEPS = 1000
LEAST_DIVERSITY = 0.4  # faces train at 0.9 to 1.1
WINNING, BLIND = 0.97, 0.55  # D's accuracy; 0.85 to 0.95 is normal
LOSS_OF_CHANCE = math.log(2)  # G's loss, and each half of D's, when D guesses at random
FLAT = 0.03


def read_log(path: Path, last_step: int) -> list[dict]:
    """Reads the log's records up to a step, skipping lines truncated by a kill."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("step", math.inf) <= last_step:
            records.append(record)
    return records


def write_log(path: Path, records: list[dict]) -> None:
    """Writes all records, one per line, atomically."""
    files.write_text(path, "".join(json.dumps(record) + "\n" for record in records))


def spread(images: Tensor) -> float:
    """Measures how much images (N, 3, H, W) differ: the mean over pixels of the standard deviation over images."""
    return float(images.float().std(dim=0).mean())


def warnings(records: list[dict]) -> dict[str, str]:
    """Returns the warnings for the last record, by name; empty if all is well.

    Keys missing from a record are not checked, so this works for every kind of training.
    """
    found = {}
    recent = [record for record in records if record["step"] >= SETTLED_STEPS][-2:]
    if recent and recent[-1].get("diversity", 1) < LEAST_DIVERSITY:
        found["collapse"] = (
            f"The samples are only {recent[-1]['diversity']:.0%} as diverse as the real images: G may have "
            "collapsed. Compare the last sample grids; an earlier model or a lower --learning-rate may be better."
        )
    accuracies = [record["d_accuracy"] for record in recent if "d_accuracy" in record]
    if accuracies and accuracies[-1] > WINNING:
        found["winning"] = (
            f"D tells real from generated images {accuracies[-1]:.1%} of the time: it is winning, and G learns little "
            "from it. If there are few pictures, --augment colour translation helps."
        )
    if len(accuracies) == 2 and all(_at_chance(record) for record in recent):
        found["blind"] = (
            "D cannot tell real from generated images, and the losses stay at chance level: G has nothing to learn "
            "from. Check the data, or try another --learning-rate."
        )
    return found


def _at_chance(record: dict) -> bool:
    flat = abs(record["g_loss"] - LOSS_OF_CHANCE) < FLAT and (
        min(abs(record["d_loss"] - n * LOSS_OF_CHANCE) for n in (1, 2)) < FLAT  # relativistic: one half only
    )
    return record["d_accuracy"] < BLIND and flat


def log_new_warnings(records: list[dict]) -> None:
    """Logs the last record's warnings that the record before it did not have."""
    before = warnings(records[:-1])
    for name, sentence in warnings(records).items():
        if name not in before:
            logger.warning("warning at step %d: %s", records[-1]["step"], sentence)


def draw_curves(records: list[dict], path: Path) -> None:
    """Plots the losses, accuracy and diversity against the images seen."""
    from matplotlib.figure import Figure  # imported here: slow, and only in the extra "train"

    names = list(dict.fromkeys(name for record in records for name in record))
    panels = {"loss": [n for n in names if n.endswith("_loss")], "": [n for n in names if n in _SHARES]}
    figure = Figure(figsize=(8, 6), layout="constrained")
    for axes, (label, curves) in zip(figure.subplots(2, sharex=True), panels.items(), strict=True):
        for name in curves:
            points = [(record["images"], record[name]) for record in records if name in record]
            axes.plot(
                *np.array(points).T, label=_SHARES.get(name, name[: -len("_loss")]), marker="." * (len(points) == 1)
            )
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if curves:
            axes.legend()
    axes.set_ylim(0, 1.25)
    axes.set_xlabel("images seen")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    files.write_bytes(path, data.getbuffer())


_SHARES = {"d_accuracy": "accuracy of D", "diversity": "diversity of the samples (real images: 1)"}
