"""Figures in the README, the docs and the model cards are those of the committed measurements."""

import csv
import json
import re
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from conftest import ROOT

from inpainter import masks
from inpainter.hub.records import images_seen
from train.evaluation import report

RESULTS = ROOT / "docs" / "results"
LOOKS = {"psnr_hole": 2, "kid": 1, "c2st": 2, "eyes": 2, "eye_height": 3}  # columns and their digits
SETS = {"CelebA": "celeba64-test", "SVHN": "svhn32-test", "Stanford Cars": "cars64-test"}
PAPERS = (report.PAPER_OURS, report.PAPER_CONTEXT_ENCODER)
SUBJECTS = {"faces": "celeba", "house numbers": "svhn", "cars": "cars"}
HOLES = {"centre": "center"}  # names in the docs, where they differ


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def rows(name: str) -> list[dict[str, str]]:
    with open(RESULTS / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def measured() -> dict[tuple[str, str], dict[str, str]]:
    """The rows of looks.csv by model and mask: default settings, fillings at the model's own size."""
    found = sorted((row for row in rows("looks.csv") if not row["settings"]), key=lambda row: int(row["side"]))
    return {(row["model"], row["mask"]): row for row in found}  # the larger side comes last


@cache
def psnr(name: str) -> dict[tuple[str, str, str], float]:
    """Mean PSNR in the hole by data set, method and mask, from a table with one row per picture."""
    values = defaultdict(list)
    for row in rows(name):
        values[row["data"], row["method"], row["mask"]].append(float(row["psnr_hole"]))
    return {key: float(np.mean(each)) for key, each in values.items()}


def figure(row: dict[str, str], name: str) -> str:
    return f"{round(float(row[name]), LOOKS[name]) + 0:.{LOOKS[name]}f}" if row[name] not in ("", "nan") else "-"


def three(row: dict[str, str]) -> str:
    """PSNR / kid / c2st."""
    return " / ".join(figure(row, name) for name in list(LOOKS)[:3])


def test_looks_are_those_of_the_measurements():
    """The rows `| model, mask | PSNR | kid | c2st | both eyes | eye height |`, one per model and mask."""
    shown = re.findall(r"^\| `([\w-]+)`, (\w+) \| (.*) \|$", text("docs/results.md"), re.MULTILINE)
    for model, mask, figures in shown:
        found = measured()[model, HOLES.get(mask, mask)]
        assert figures.split(" | ") == [figure(found, name) for name in LOOKS], (model, mask)
    assert {(model, HOLES.get(mask, mask)) for model, mask, _ in shown} == measured().keys()


def test_the_readmes_table_is_that_of_the_measurements_and_of_the_paper():
    """The rows `| subject, mask | PSNR / kid / c2st of both models | PSNR of the paper's two methods |`."""
    pattern = r"^\| (faces|house numbers|cars), (\w+) \| (.*) \|$"
    shown = re.findall(pattern, text("README.md"), re.MULTILINE)
    assert len(shown) == 6
    for subject, mask, cells in shown:
        data, mask = SUBJECTS[subject], HOLES.get(mask, mask)
        paper = [column[data][report.PAPER_MASKS.index(mask)] for column in PAPERS]
        ours = [measured().get((model, mask)) for model in (f"comod-{data}-64", f"dcgan-{data}")]
        ours = [three(row) if row else "-" for row in ours]
        assert cells.split(" | ") == [*ours, *map(str, paper)], (subject, mask)


def test_every_method_scores_what_was_measured():
    """The rows `| method | PSNR / kid / c2st with centre | pattern | random | half | ... |` of each data set."""
    document, means = text("docs/results.md"), psnr("methods/images.csv")
    looks = {(row["data"], row["method"], row["mask"]): row for row in rows("methods/looks.csv")}
    for title, data in SETS.items():
        (section,) = re.findall(rf"^### [^\n]*{title}[^\n]*\n(.*?)^(?=#|\[table)", document, re.MULTILINE | re.DOTALL)
        shown = re.findall(r"^\| ([a-z][\w-]*) \| (.*) \|$", section, re.MULTILINE)
        shown = {method: cells.replace("*", "").split(" | ") for method, cells in shown if method != "method"}
        assert shown.keys() == {method for name, method, _ in means if name == data}
        assert len(shown) >= 21
        for method, cells in shown.items():
            for mask, cell in zip(masks.NAMES, cells[:4], strict=True):
                key = data, method, mask
                row = looks[key] | {"psnr_hole": str(means[key])} if key in means else None
                assert cell == (three(row) if row else "-"), key


def test_the_papers_number_of_steps_is_compared_on_the_same_pictures():
    """The rows `| subject, number of steps | PSNR with centre | pattern | random | half |`, means over 50 pictures."""
    shown = re.findall(r"^\| ([a-z ]+), (100|1,500) steps \| (.*) \|$", text("docs/results.md"), re.MULTILINE)
    values = defaultdict(list)
    for steps, name in (("100", "methods/images.csv"), ("1,500", "steps-1500/images.csv")):
        for row in rows(name):
            if row["method"] == "ours" and int(row["image"]) < 50:
                values[row["data"], steps, row["mask"]].append(float(row["psnr_hole"]))
    assert len(shown) == 6
    for subject, steps, cells in shown:
        (data,) = [data for data in SETS.values() if data.startswith(SUBJECTS[subject])]
        each = [values[data, steps, mask] for mask in masks.NAMES]
        assert {len(some) for some in each} == {50}
        assert cells.split(" | ") == [f"{np.mean(some):.2f}" for some in each], (subject, steps)


def test_the_comparison_at_128_pixels_is_that_of_the_measurements():
    """The rows `| method | PSNR / kid / c2st | ... |`, one column per mask."""
    found = {(row["method"], row["mask"]): row for row in rows("compare-128/looks.csv")}
    means = {key[1:]: mean for key, mean in psnr("compare-128/images.csv").items()}
    shown = re.findall(r"^\| `([\w-]+)` \| ([\d.][^|]*(?: \| [^|]+){3}) \|$", text("docs/results.md"), re.MULTILINE)
    assert {method for method, _ in shown} == {method for method, _ in means}
    for method, cells in shown:
        for mask, cell in zip(masks.NAMES, cells.split(" | "), strict=True):
            key = method, mask
            row = found[key] | {"psnr_hole": str(means[key])} if key in means else None
            assert cell == (three(row) if row else "-"), key


def test_the_parts_of_the_stronger_generator_are_those_of_the_measurements():
    """The rows `| settings | PSNR / kid / c2st of centre | of half |`."""
    found = {(row["settings"] or "default", row["mask"]): row for row in rows("parts.csv")}
    shown = re.findall(r"^\| `([\w=. ]+)` \| ([\d. /-]+) \| ([\d. /-]+) \|$", text("docs/results.md"), re.MULTILINE)
    assert {settings for settings, _ in found} == {settings for settings, *_ in shown}
    for settings, *cells in shown:
        for mask, cell in zip(("center", "half"), cells, strict=True):
            assert cell == three(found[settings, mask]), (settings, mask)


def test_what_helped_the_training_of_the_cars_is_what_was_measured():
    """The rows ``| `folder`... | PSNR / kid / c2st of the proposals for centres | for halves |``."""
    found = {(row["model"].rpartition("/")[2], row["mask"]): row for row in rows("cars.csv")}
    section = text("docs/results.md").partition("### Cars\n")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| `([\w-]+)`[^|]* \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    assert {name for name, *_ in shown} == {name for name, _ in found}
    for name, *cells in shown:
        for mask, cell in zip(("center", "half"), cells, strict=True):
            assert cell == three(found[name, mask]), (name, mask)


def test_what_helped_the_training_is_what_was_measured():
    """The rows ``| `model`, number of images seen | PSNR / kid / c2st of the proposals for centres | for halves |``."""
    found = {}
    for row in rows("curve.csv"):
        model = row["model"].rpartition("/")[2]
        if row["side"] == model.rpartition("-")[2]:  # the model's own size
            found[model, f"{int(row['images_seen']):,}", row["mask"]] = row
    shown = re.findall(
        r"^\| `(comod-[\w-]+)`, ([\d,]+) \| ([^|]+) \| ([^|]+) \|$", text("docs/results.md"), re.MULTILINE
    )
    assert [(model, seen) for model, seen, *_ in shown] == list(
        dict.fromkeys((model, seen) for model, seen, _ in found)
    )
    for model, seen, *cells in shown:
        for mask, cell in zip(("center", "half"), cells, strict=True):
            assert cell == three(found[model, seen, mask]), (model, seen, mask)


def test_the_speed_of_training_is_that_of_the_measurement():
    found = {row["loop"]: float(row["images_per_second"]) for row in rows("training.csv") if row["threads"] == "1"}
    said = re.search(r"about (\d+) images per second at\s+64 pixels and (\d+) at 128", text("README.md"))
    assert [int(figure) for figure in said.groups()] == [round(found[f"comod-{size}"]) for size in (64, 128)]


def test_seconds_per_picture_are_those_of_the_measurements():
    """The rows ``| `model`, search | 1 thread, 1 picture | 1 thread, 8 | 1 thread, 64 | the same with 2 threads |``."""
    found = {(row["model"], row["way"], row["threads"], row["pictures"]): row["seconds"] for row in rows("speed.csv")}
    shown = re.findall(r"^\| `([\w-]+)`, ([\w, ]+) \| (.*) \|$", text("docs/speed.md"), re.MULTILINE)
    assert len(shown) >= 9
    for model, way, cells in shown:
        seconds = [float(found[model, way, threads, pictures]) for threads in "12" for pictures in ("1", "8", "64")]
        digits = 1 if seconds[0] > 1 else 3
        assert cells.split(" | ") == [f"{value:.{digits}f}" for value in seconds], (model, way)


def test_seconds_on_the_page_are_those_of_the_measurements():
    """The rows ``| `model` | median (range) of the first picture | of the last |``."""
    section = text("docs/speed.md").partition("## On the page")[2]
    shown = re.findall(r"^\| `([\w-]+)` \| (.*) \| (.*) \|$", section, re.MULTILINE)
    assert [model for model, *_ in shown] == list(dict.fromkeys(row["model"] for row in rows("strokes.csv")))
    for model, *cells in shown:
        for name, cell in zip(("first", "last"), cells, strict=True):
            values = [float(row[name]) for row in rows("strokes.csv") if row["model"] == model]
            assert cell == f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})", (model, name)


@pytest.mark.parametrize("model", sorted({model for model, _ in measured()}))
def test_cards_carry_the_figures_of_the_measurements_and_of_the_weights_that_are_there(model):
    config = json.loads(text(f"hub_models/{model}/config.json"))
    (evaluation,) = config["training"]["evaluation"]
    assert evaluation["settings"] == "default"
    for mask, scores in evaluation["masks"].items():
        row = measured()[model, mask]
        assert {name: float(row[name]) for name in scores} == scores
        assert int(row["images_seen"]) == images_seen(config["training"])
