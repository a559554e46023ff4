"""The sheets of a model's fillings and of its searches."""

import numpy as np
import pytest
from helpers import tiny_comod
from PIL import Image

from inpainter import Inpainter, masks
from train import __main__
from train.evaluation import gallery
from train.looks import sheets


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)


def draw(folder, images, *more) -> int:
    (folder / "data").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / "data" / f"{index:02d}.png")
    tiny_comod().save_pretrained(folder / "tiny")
    arguments = ["--model", folder / "tiny", "--data", folder / "data", "--out", folder / "out", "--steps", 2, *more]
    return __main__.main(["gallery", *map(str, arguments)])


def test_the_command_draws_both_sheets_and_says_if_there_are_too_few_pictures(tmp_path, images, capsys):
    assert draw(tmp_path, images) == 0
    rows = 2 * len(masks.NAMES)
    sheet = Image.open(tmp_path / "out" / "tiny-fillings.jpg")
    assert sheet.height == rows * (sheets.SIDE + sheets.GAP) - sheets.GAP
    assert Image.open(tmp_path / "out" / "tiny-search.png").height > 4 * sheets.SIDE
    (tmp_path / "few").mkdir()
    assert draw(tmp_path / "few", images[:20]) == 1
    assert "the sheet needs 48 pictures, got 20" in capsys.readouterr().err


def test_the_sheet_shows_the_first_pictures_once_each_filled_as_the_library_fills_them(images, monkeypatch):
    monkeypatch.setattr(sheets, "labelled", lambda rows: rows)
    model = Inpainter(tiny_comod(), device="cpu")
    rows = gallery.contact_sheet(model, images)
    for number, mask in enumerate(masks.NAMES):
        some = images[12 * number : 12 * number + 12]
        holes = np.stack([masks.named(mask, 32, seed=index) for index in range(12)])
        assert (rows[mask][~holes] == some[~holes]).all() and (rows[mask][holes] == 255).all()
        assert (rows[f"{mask}, filled"] == model(some, holes).images).all()


def test_a_path_goes_from_the_first_code_to_the_result_of_the_search(images, monkeypatch):
    monkeypatch.setattr(sheets, "labelled", lambda rows: rows)
    model, some = Inpainter(tiny_comod(), device="cpu"), images[:2]
    rows = gallery.path(model, some, "center", 12)
    assert list(rows) == ["intact", "damaged", "step 0", "step 10", "step 12", "blended"]
    result = model(some, masks.center(32), mode="paper", steps=12)
    assert (rows["step 12"] == result.generated).all() and (rows["blended"] == result.images).all()
