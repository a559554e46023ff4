import csv

import numpy as np
from conftest import tiny_dcgan
from helpers import tiny_comod
from PIL import Image

from benchmarks import pictures as benchmark


def test_every_way_of_every_model_gets_a_row_with_its_median_between_the_extremes(tmp_path):
    for name, model in {"dcgan": tiny_dcgan(), "comod": tiny_comod()}.items():
        model.save_pretrained(tmp_path / name)
        (tmp_path / name / "examples").mkdir()
        side = model.config.image_size
        Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(tmp_path / name / "examples" / "0.png")
    models = [str(tmp_path / "dcgan"), str(tmp_path / "comod")]
    out = tmp_path / "speed.csv"
    benchmark.main(
        ["--models", *models, "--batch-sizes", "1", "2", "--threads", "1", "--rounds", "2", "--out", str(out)]
    )
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    ways = {(row["model"], row["way"], row["pictures"]) for row in rows}
    both = ("default", "proposal")
    own = ("textbook", "paper, float32", "paper, bfloat16")
    assert ways == {(models[0], way, n) for way in both + own for n in "12"} | {
        (models[1], way, n) for way in both for n in "12"
    }
    assert all(0 < float(r["lowest"]) <= float(r["seconds"]) <= float(r["highest"]) for r in rows)
