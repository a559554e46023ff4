"""The tables of an evaluation: means by data set, mask and method, beside the figures of the paper."""

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

DETAILS = ("PSNR in the hole (dB)", "PSNR whole picture (dB)", "SSIM", "feature distance", "s / picture")
FEATURE_NOTE = (
    "Feature distance: between each filled picture and its original, in the features of "
    f"{features.NETWORK}; the mean, lower is better. Two different intact pictures are {{:.2f}} apart."
)

LOOKS_COLUMNS = ("data", "method", "mask", *FIGURES)
DIGITS = {"kid": 1, "c2st": 2, "eyes": 2, "landmarks": 2}
LOOKS_NOTE = (
    "How the fillings look. kid and c2st: told from intact pictures of others in the features of "
    f"{features.LITE2.name}, a distance x 1000 and the accuracy of a classifier (0.5 cannot tell); of faces the share "
    "in which a cascade finds both eyes, that in which a network finds a face, the eyes' distance from the truth, and "
    "the difference of the two in height and in size."
)

Means = dict[tuple[str, str], dict[str, float]]  # by mask and method


@dataclass
class Results:
    """What an evaluation found so far.

    Attributes:
        rows: one a picture, with the keys of `COLUMNS`; NaN where a method has no such score.
        seconds: per picture, by data set, mask and method.
        refusals: why a method has no rows, by data set, mask and method.
        between_intact: mean feature distance of two different intact pictures, by data set, where it is known.
        looks: the figures of `appearance`, by data set, mask and method, where they were measured.
        intact_looks: those of the intact pictures themselves, by data set.
    """

    rows: list[dict] = field(default_factory=list)
    seconds: dict[tuple[str, str, str], float] = field(default_factory=dict)
    refusals: dict[tuple[str, str, str], str] = field(default_factory=dict)
    between_intact: dict[str, float] = field(default_factory=dict)
    looks: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    intact_looks: dict[str, dict[str, float]] = field(default_factory=dict)


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
            paper = " In bold what is above both figures of the paper." if paper_column(PAPER_OURS, name) else ""
            parts += [f"PSNR in the hole (dB).{paper}", comparison(name, rows, masks, methods)]
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
    """The table of one method on one data set, beside the paper's own."""
    paper = paper_column(PAPER_OURS, name)
    lines = [
        [mask, *_scores(mean[mask, method], seconds[mask, method]), *([_decibels(paper.get(mask), 1)] if paper else [])]
        for mask, method in mean
    ]
    return table(["mask", *DETAILS, *(["paper, PSNR in the hole (dB)"] if paper else [])], lines)


def comparison(name: str, rows: list[dict], masks: list[str], methods: list[str]) -> str:
    """PSNR in the hole: a row a method, then the paper's (CVPR table 1); a column a mask, then their mean.

    The last column is how much a method's mean is above the first one's, with the standard error over the
    pictures, each of which both have filled.
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
        lines.append([method, *cells, _mean(list(found.values()), 2), gain(rows, method, methods[0])])
    for title, column in papers.items():
        found = [column[mask] for mask in masks]
        lines.append([title, *(_decibels(value, 1) for value in found), _mean(found, 1), ""])
    return table(["method", *masks, "mean", f"above {methods[0]}"], lines)


def gain(rows: list[dict], method: str, other: str) -> str:
    """By how much (dB) a method's PSNR in the hole is above another's: mean and standard error over the pictures.

    Empty for the method itself, "-" unless both have filled the same pictures under the same masks.
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
    each = np.array([np.mean(values) for values in differences.values()])  # a picture's, over the masks
    error = f" ± {each.std(ddof=1) / len(each) ** 0.5:.2f}" if len(each) > 1 else ""
    return f"{each.mean():+.2f}{error}"


def details(mean: Means, seconds: dict[tuple[str, str], float], methods: list[str]) -> str:
    """All scores: a row a method and mask."""
    lines = [
        [method, mask, *_scores(mean[mask, method], seconds[mask, method])]
        for method in methods
        for mask, m in mean
        if m == method
    ]
    return table(["method", "mask", *DETAILS], lines)


def paper_column(figures: dict[str, tuple[float, ...]], name: str) -> dict[str, float]:
    """The paper's figures by mask, for a data set whose name starts like one of the paper's; else empty."""
    values = next((values for start, values in figures.items() if name.lower().startswith(start)), ())
    return dict(zip(PAPER_MASKS, values, strict=False))


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def looks_rows(results: Results) -> list[dict]:
    """Rows of the CSV of looks: the intact pictures' first, as the method "intact" of no mask."""
    floors = [{"data": data, "mask": "", "method": "intact", **found} for data, found in results.intact_looks.items()]
    return floors + [
        {"data": data, "mask": mask, "method": method, **found} for (data, mask, method), found in results.looks.items()
    ]


def looks_table(name: str, results: Results) -> str:
    """How the fillings of one data set look: a row a method and mask, the intact pictures first."""
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
    """One line a row; what is NaN is left empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({key: "" if value != value else value for key, value in row.items()} for row in rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def _scores(mean: dict[str, float], seconds: float) -> list[str]:
    """The columns `DETAILS`."""
    distance = mean["feature_distance"]
    shown = f"{distance:.2f}" if distance == distance else "-"
    return [_decibels(mean["psnr_hole"]), _decibels(mean["psnr_image"]), f"{mean['ssim']:.3f}", shown, f"{seconds:.2f}"]


def _mean(values: list[float | None], digits: int) -> str:
    return "-" if None in values else _decibels(float(np.mean(values)), digits)


def _decibels(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
