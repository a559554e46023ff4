import csv

import numpy as np
import pytest
from conftest import tiny_dcgan
from PIL import Image

from inpainter import Inpainter, masks, metrics
from train import __main__
from train.evaluation import perceptual


@pytest.fixture
def setting(tmp_path, pictures, monkeypatch):
    """A tiny model, a folder of six pictures, and a function that evaluates one on the other."""
    tiny_dcgan().save_pretrained(tmp_path / "model")
    monkeypatch.setattr(perceptual, "network", lambda device: None)
    (tmp_path / "data").mkdir()
    for index in range(6):
        Image.fromarray(np.roll(pictures[index % 3], index, axis=1)).save(tmp_path / "data" / f"{index}.png")

    def run(*more) -> int:
        paths = ["--model", tmp_path / "model", "--data", tmp_path / "data", "--out", tmp_path / "out"]
        return __main__.main([str(a) for a in ["evaluate", *paths, "--steps", 4, *more]])

    return tmp_path, run


def rows_of(folder) -> list[dict]:
    with open(folder / "out" / "images.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_what_the_library_gives_with_the_index_as_mask_seed(setting):
    folder, run = setting
    assert run("--images", 4, "--masks", "random") == 0
    model = Inpainter.from_pretrained(folder / "model")
    for index, row in enumerate(rows_of(folder)):
        picture = np.asarray(Image.open(folder / "data" / f"{index}.png"))
        hole = masks.random(16, seed=index)
        filled = model(picture, hole, mode="paper", steps=4, seed=0).images[0]
        assert float(row["psnr_hole"]) == pytest.approx(metrics.psnr(filled, picture, hole), abs=0.05)
        assert float(row["psnr_image"]) == pytest.approx(metrics.psnr(filled, picture), abs=0.05)


def test_every_mask_is_measured_and_the_means_are_printed(setting, capsys):
    folder, run = setting
    run("--images", 3)
    rows = rows_of(folder)
    printed = capsys.readouterr().out
    assert len(rows) == 12
    for name in masks.NAMES:
        mean = np.mean([float(row["psnr_hole"]) for row in rows if row["mask"] == name])
        assert f"| {name} | {mean:.2f} |" in printed
        assert (folder / "out" / f"{name}.png").exists()
    assert (folder / "out" / "table.md").read_text().strip() == printed.strip()


def test_validation_pictures_are_the_last_ones(setting):
    folder, run = setting
    run("--images", 2, "--masks", "center", "--last")
    last = rows_of(folder)
    run("--images", 6, "--masks", "center")
    assert [r["psnr_hole"] for r in last] == [r["psnr_hole"] for r in rows_of(folder)[-2:]]


def test_batches_make_no_difference(setting):
    folder, run = setting
    run("--images", 5, "--masks", "pattern", "--batch-size", 2)
    small = rows_of(folder)
    run("--images", 5, "--masks", "pattern")
    for a, b in zip(small, rows_of(folder), strict=True):
        assert float(a["psnr_hole"]) == pytest.approx(float(b["psnr_hole"]), abs=0.05)
