"""The tables of an evaluation: means by data set, mask and method, next to the paper's figures."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..looks import features
from .appearance import FIGURES

SCORES = ("psnr_hole", "psnr_image", "ssim", "feature_distance", "context_loss", "prior_loss")
COLUMNS = ("data", "method", "mask", "image", *SCORES)

# PSNR (dB) from CVPR table 1, by the prefix of the archive's name.
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

DETAILS = ("PSNR in the hole (dB)", "PSNR whole picture (dB)", "SSIM", "feature distance", "s / picture")
FEATURE_NOTE = (
    "Feature distance: mean distance between each filled picture and its original in the features of "
    f"{features.NETWORK}; lower is better. Two different intact pictures are {{:.2f}} apart on average."
)

LOOKS_COLUMNS = ("data", "method", "mask", *FIGURES)
DIGITS = {"kid": 1, "c2st": 2, "eyes": 2, "landmarks": 2}
LOOKS_NOTE = (
    "How the fillings look. kid (a distance x 1000) and c2st (a classifier's accuracy; 0.5 is chance) compare them "
    f"with other intact pictures in the features of {features.LITE2.name}. For faces: the shares in which a cascade "
    "finds both eyes and a network finds a face, the distance of the eyes from the truth, and the height and size "
    "differences between them."
)

Means = dict[tuple[str, str], dict[str, float]]  # by mask and method


@dataclass
class Results:
    """Evaluation results so far.

    Attributes:
        rows: one per picture, with the keys of `COLUMNS`; NaN where a method has no such score.
        seconds: per picture, by data set, mask and method.
        refusals: why a method has no rows, by data set, mask and method.
        between_intact: mean feature distance between two different intact pictures, by data set, if measured.
        looks: the figures of `appearance`, by data set, mask and method, if measured.
        intact_looks: the same for the intact pictures themselves, by data set.
    """

    rows: list[dict] = field(default_factory=list)
    seconds: dict[tuple[str, str, str], float] = field(default_factory=dict)
    refusals: dict[tuple[str, str, str], str] = field(default_factory=dict)
    between_intact: dict[str, float] = field(default_factory=dict)
    looks: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    intact_looks: dict[str, dict[str, float]] = field(default_factory=dict)


def means(rows: Iterable[dict]) -> Means:
    """Averages the scores over the pictures of one data set, by mask and method; NaN where a method has no score."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["mask"], row["method"]), []).append(row)
    return {
        key: {score: float(np.mean([row[score] for row in group])) for score in SCORES} for key, group in groups.items()
    }


def report(results: Results) -> str:
    """Returns all tables as Markdown: a single table for one method, comparison and details for several."""
    seconds, refusals = results.seconds, results.refusals
    names = dict.fromkeys(data for data, _, _ in [*seconds, *refusals])
    parts = []
    for name in names:
        rows = [row for row in results.rows if row["data"] == name]
        mean = means(rows)
        times = {key[1:]: value for key, value in seconds.items() if key[0] == name}
        refused = {key[1:]: value for key, value in refusals.items() if key[0] == name}
        methods = list(dict.fromkeys(method for _, method in [*times, *refused]))
        if len(names) > 1:
            parts.append(f"### {name}")
        if len(methods) > 1:
            masks = list(dict.fromkeys(mask for mask, _ in [*times, *refused]))
            looks = {key[1:]: found for key, found in results.looks.items() if key[0] == name}
            shown = "PSNR in the hole (dB)" + (" / kid / c2st" if looks else "")
            paper = " Bold: better than both of the paper's figures." if paper_column(PAPER_OURS, name) else ""
            parts += [f"{shown}.{paper}", comparison(name, rows, masks, methods, looks)]
            parts += [details(mean, times, methods)]
        else:
            parts.append(single(name, mean, times))
        parts += [f"- {method}, {mask}: {reason}" for (mask, method), reason in refused.items()]
        if name in results.between_intact:
            parts.append(FEATURE_NOTE.format(results.between_intact[name]))
        if name in results.intact_looks:
            parts += [LOOKS_NOTE, looks_table(name, results)]
    return "\n\n".join(parts)


def single(name: str, mean: Means, seconds: dict[tuple[str, str], float]) -> str:
    """Returns the table of one method on one data set, next to the paper's figures."""
    paper = paper_column(PAPER_OURS, name)
    lines = [
        [mask, *_scores(mean[mask, method], seconds[mask, method]), *([_decibels(paper.get(mask), 1)] if paper else [])]
        for mask, method in mean
    ]
    return table(["mask", *DETAILS, *(["paper, PSNR in the hole (dB)"] if paper else [])], lines)


def comparison(name: str, rows: list[dict], masks: list[str], methods: list[str], looks: Means) -> str:
    """Returns the table of PSNR in the hole: one row per method, then the paper's (CVPR table 1); one column per mask.

    Where looks were measured, kid and c2st follow the PSNR. The last columns are the mean PSNR over the masks, and its
    gain over the first method's with the standard error over the pictures, which both must have filled.
    """
    papers = {"paper, ours": PAPER_OURS, "paper, context encoder": PAPER_CONTEXT_ENCODER}
    papers = {title: column for title, figures in papers.items() if (column := paper_column(figures, name))}
    bar = {mask: max(column[mask] for column in papers.values()) for mask in masks if papers}
    mean = means(rows)
    lines = []
    for method in methods:
        found = {mask: mean[mask, method]["psnr_hole"] if (mask, method) in mean else None for mask in masks}
        cells = [
            f"**{_decibels(value)}**" if value is not None and value > bar.get(mask, np.inf) else _decibels(value)
            for mask, value in found.items()
        ]
        seen = [looks.get((mask, method)) for mask in masks]
        cells = [
            cell + (f" / {round(figures['kid'], 1) + 0:.1f} / {figures['c2st']:.2f}" if figures else "")
            for cell, figures in zip(cells, seen, strict=True)
        ]
        lines.append([method, *cells, _mean(list(found.values()), 2), gain(rows, method, methods[0])])
    for title, column in papers.items():
        found = [column[mask] for mask in masks]
        lines.append([title, *(_decibels(value, 1) for value in found), _mean(found, 1), ""])
    return table(["method", *masks, "mean", f"above {methods[0]}"], lines)


def gain(rows: list[dict], method: str, other: str) -> str:
    """Returns the gain (dB) in PSNR in the hole of a method over another: mean and standard error over the pictures.

    Empty for the method itself; "-" unless both filled the same pictures under the same masks.
    """
    if method == other:
        return ""
    here, there = (
        {(row["image"], row["mask"]): row["psnr_hole"] for row in rows if row["method"] == name}
        for name in (method, other)
    )
    if not here or here.keys() != there.keys():
        return "-"
    differences: dict[int, list[float]] = {}
    for image, mask in here:
        differences.setdefault(image, []).append(here[image, mask] - there[image, mask])
    each = np.array([np.mean(values) for values in differences.values()])  # per picture, averaged over the masks
    error = f" ± {each.std(ddof=1) / len(each) ** 0.5:.2f}" if len(each) > 1 else ""
    return f"{each.mean():+.2f}{error}"


def details(mean: Means, seconds: dict[tuple[str, str], float], methods: list[str]) -> str:
    """Returns the table of all scores, one row per method and mask."""
    lines = [
        [method, mask, *_scores(mean[mask, method], seconds[mask, method])]
        for method in methods
        for mask, m in mean
        if m == method
    ]
    return table(["method", "mask", *DETAILS], lines)


def paper_column(figures: dict[str, tuple[float, ...]], name: str) -> dict[str, float]:
    """Returns the paper's figures by mask for a data set, matched by the prefix of its name; empty if none match."""
    values = next((values for start, values in figures.items() if name.lower().startswith(start)), ())
    return dict(zip(PAPER_MASKS, values, strict=False))


def table(head: list[str], lines: list[list[str]]) -> str:
    """Formats a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def looks_rows(results: Results) -> list[dict]:
    """Returns the rows of the looks CSV; the intact pictures come first, as method "intact" without a mask."""
    floors = [{"data": data, "mask": "", "method": "intact", **found} for data, found in results.intact_looks.items()]
    return floors + [
        {"data": data, "mask": mask, "method": method, **found} for (data, mask, method), found in results.looks.items()
    ]


def looks_table(name: str, results: Results) -> str:
    """Returns the looks table of one data set: one row per method and mask, the intact pictures first."""
    rows = [row for row in looks_rows(results) if row["data"] == name]
    shown = [figure for figure in FIGURES if figure != "kid_error" and any(row[figure] == row[figure] for row in rows)]
    lines = []
    for row in sorted(rows, key=lambda row: row["method"] != "intact"):
        values = {figure: f"{row[figure]:.{DIGITS.get(figure, 3)}f}" for figure in shown}
        if row["kid_error"] == row["kid_error"]:
            values["kid"] += f" ± {row['kid_error']:.1f}"
        lines.append([row["method"], row["mask"], *values.values()])
    return table(["method", "mask", *(figure.replace("_", " ") for figure in shown)], lines)


def write_csv(path: Path, columns: tuple[str, ...], rows: list[dict]) -> None:
    """Writes rows as CSV; NaN becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({key: "" if value != value else value for key, value in row.items()} for row in rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def _scores(mean: dict[str, float], seconds: float) -> list[str]:
    """Formats the columns `DETAILS`."""
    distance = mean["feature_distance"]
    shown = f"{distance:.2f}" if distance == distance else "-"
    return [_decibels(mean["psnr_hole"]), _decibels(mean["psnr_image"]), f"{mean['ssim']:.3f}", shown, f"{seconds:.2f}"]


def _mean(values: list[float | None], digits: int) -> str:
    return "-" if None in values else _decibels(float(np.mean(values)), digits)


def _decibels(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
