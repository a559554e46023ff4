"""The tables of an evaluation: means by data set, mask and method, beside the figures of the paper."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SCORES = ("psnr_hole", "psnr_image", "ssim", "context_loss", "prior_loss")
COLUMNS = ("data", "method", "mask", "image", *SCORES)

# PSNR (dB) of CVPR table 1, by the start of the archive's name.
PAPER_MASKS = ("center", "pattern", "random", "half")
PAPER_OURS = {
    "celeba": (19.4, 17.4, 22.8, 13.7),
    "svhn": (19.0, 19.8, 33.0, 14.6),
    "cars": (13.5, 14.1, 18.9, 11.1),
}
PAPER_CONTEXT_ENCODER = {
    "celeba": (21.3, 19.2, 20.6, 15.5),
    "svhn": (22.3, 22.3, 24.1, 19.1),
    "cars": (14.1, 14.0, 16.1, 12.6),
}

Means = dict[tuple[str, str], dict[str, float]]  # by mask and method


@dataclass
class Results:
    """What an evaluation found so far.

    Attributes:
        rows: one a picture, with the keys of `COLUMNS`; NaN where a method has no such score.
        seconds: per picture, by data set, mask and method.
        refusals: why a method has no rows, by data set, mask and method.
    """

    rows: list[dict] = field(default_factory=list)
    seconds: dict[tuple[str, str, str], float] = field(default_factory=dict)
    refusals: dict[tuple[str, str, str], str] = field(default_factory=dict)


def means(rows: Iterable[dict]) -> Means:
    """Means over the pictures of one data set, by mask and method; NaN where a method has no such score."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["mask"], row["method"]), []).append(row)
    return {
        key: {score: float(np.mean([row[score] for row in group])) for score in SCORES} for key, group in groups.items()
    }


def report(results: Results) -> str:
    """All tables as Markdown: for each data set those that its number of methods asks for."""
    rows, seconds, refusals = results.rows, results.seconds, results.refusals
    names = dict.fromkeys(data for data, _, _ in [*seconds, *refusals])
    parts = []
    for name in names:
        mean = means(row for row in rows if row["data"] == name)
        times = {key[1:]: value for key, value in seconds.items() if key[0] == name}
        refused = {key[1:]: value for key, value in refusals.items() if key[0] == name}
        methods = list(dict.fromkeys(method for _, method in [*times, *refused]))
        if len(names) > 1:
            parts.append(f"### {name}")
        if len(methods) > 1:
            masks = list(dict.fromkeys(mask for mask, _ in [*times, *refused]))
            parts += ["PSNR in the hole (dB):", comparison(name, mean, masks, methods)]
            parts += [details(mean, times, methods)]
        else:
            parts.append(single(name, mean, times))
        parts += [f"- {method}, {mask}: {reason}" for (mask, method), reason in refused.items()]
    return "\n\n".join(parts)


def single(name: str, mean: Means, seconds: dict[tuple[str, str], float]) -> str:
    """The table of one method on one data set, beside the paper's own."""
    head = ["mask", "PSNR in the hole (dB)", "PSNR whole picture (dB)", "SSIM", "s / picture"]
    paper = paper_column(PAPER_OURS, name)
    lines = [
        [mask, *_scores(mean[mask, method]), f"{seconds[mask, method]:.2f}", *([paper.get(mask, "")] if paper else [])]
        for mask, method in mean
    ]
    return table([*head, *(["paper, PSNR in the hole (dB)"] if paper else [])], lines)


def comparison(name: str, mean: Means, masks: list[str], methods: list[str]) -> str:
    """PSNR in the hole: a row a mask, a column a method, then the paper's (CVPR table 1)."""
    columns = {
        method: {mask: f"{mean[mask, method]['psnr_hole']:.2f}" for mask in masks if (mask, method) in mean}
        for method in methods
    }
    for title, figures in (("paper, ours", PAPER_OURS), ("paper, context encoder", PAPER_CONTEXT_ENCODER)):
        if column := paper_column(figures, name):
            columns[title] = column
    return table(["mask", *columns], [[mask, *(c.get(mask, "-") for c in columns.values())] for mask in masks])


def details(mean: Means, seconds: dict[tuple[str, str], float], methods: list[str]) -> str:
    """All scores: a row a method and mask."""
    head = ["method", "mask", "PSNR in the hole (dB)", "PSNR whole picture (dB)", "SSIM", "s / picture"]
    lines = [
        [method, mask, *_scores(mean[mask, method]), f"{seconds[mask, method]:.2f}"]
        for method in methods
        for mask, m in mean
        if m == method
    ]
    return table(head, lines)


def paper_column(figures: dict[str, tuple[float, ...]], name: str) -> dict[str, str]:
    """The paper's figures by mask, for a data set whose name starts like one of the paper's; else empty."""
    values = next((values for start, values in figures.items() if name.lower().startswith(start)), ())
    return {mask: f"{value:.1f}" for mask, value in zip(PAPER_MASKS, values, strict=False)}


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def write_csv(path: Path, rows: list[dict]) -> None:
    """One line a picture; scores that a method does not have are left empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({key: "" if value != value else value for key, value in row.items()} for row in rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def _scores(mean: dict[str, float]) -> list[str]:
    return [f"{mean['psnr_hole']:.2f}", f"{mean['psnr_image']:.2f}", f"{mean['ssim']:.3f}"]
