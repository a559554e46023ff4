"""How fillings look: what each figure is sensitive to, and the command that measures a model."""

import csv
import importlib.util
import json

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from PIL import Image

from inpainter import Inpainter, hub
from inpainter.hub import cards
from inpainter.models import CoMod, CoModConfig, Encoder, EncoderConfig
from train import __main__
from train.evaluation import looks
from train.looks import faces, features, measure, realism


def rows(count: int, size: int = 64, shift: float = 0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, size))


def test_kid_is_around_zero_for_one_distribution_whatever_the_number_of_rows_and_grows_with_the_distance():
    for count in (20, 200):
        values = [realism.kid(rows(count, seed=2 * k), rows(count, seed=2 * k + 1))[0] for k in range(20)]
        assert abs(np.mean(values)) < 3 * np.std(values) / 20**0.5
    near, far = (realism.kid(rows(100, seed=1), rows(100, shift=shift, seed=2)) for shift in (0.3, 1))
    assert 0 < near[0] < far[0]
    assert near[1] > 0


def test_kids_standard_error_is_about_the_spread_of_independent_measurements():
    found = [realism.kid(rows(100, seed=2 * k), rows(100, shift=0.2, seed=2 * k + 1)) for k in range(30)]
    values, errors = np.array(found).T
    assert 0.5 < errors.mean() / values.std() < 2


def test_a_classifier_tells_sets_apart_only_if_they_differ_and_repeats():
    assert abs(realism.c2st(rows(150, seed=1), rows(150, seed=2)) - 0.5) < 0.08
    assert realism.c2st(rows(150, seed=1), rows(150, shift=1, seed=2)) > 0.95
    assert realism.c2st(rows(50), rows(50, seed=2)) == realism.c2st(rows(50), rows(50, seed=2))


def test_the_logistic_regression_is_at_the_minimum_of_its_loss():
    x, labels = rows(60, 3), (rows(60, 1)[:, 0] > 0).astype(float)
    logit = realism.logistic(x, labels)
    weights = np.array([logit(row) - logit(np.zeros(3)) for row in np.eye(3)])
    residual = 1 / (1 + np.exp(-logit(x))) - labels
    assert np.abs(x.T @ residual + weights).max() < 1e-2
    assert abs(residual.sum()) < 1e-2


def eyes(left, right, radii=(0.1, 0.1)) -> faces.Eyes:
    return faces.Eyes(np.array([True]), np.array([[left, right]]), np.array([radii]))


def test_eyes_are_compared_in_units_of_the_distance_between_them():
    level, tilted = eyes((0.3, 0.4), (0.7, 0.4)), eyes((0.3, 0.4), (0.7, 0.44), (0.1, 0.12))
    assert level.height_difference() == pytest.approx(0) and level.size_difference() == pytest.approx(0)
    assert tilted.height_difference() == pytest.approx(0.04 / np.hypot(0.4, 0.04))
    assert tilted.size_difference() == pytest.approx(0.02 / 0.11)
    assert tilted.shift(level) == pytest.approx(0.02 / 0.4)


@pytest.fixture
def portrait() -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    pytest.importorskip("cv2")
    return np.asarray(Image.fromarray(data.astronaut()[20:190, 140:310]).resize((128, 128)))


def test_the_cascade_finds_the_eyes_of_a_face_and_none_where_they_are_gone(portrait):
    gone = portrait.copy()
    gone[30:90] = 128
    assert faces.both_eyes(np.stack([portrait, gone])).tolist() == [True, False]


def test_landmarks_are_where_the_eyes_are_and_move_with_them(portrait):
    if importlib.util.find_spec(faces.PACKAGE) is None:
        pytest.skip(faces.INSTALL)
    moved = np.roll(portrait, 6, axis=0)
    found = faces.landmarks(np.stack([portrait, moved, np.full_like(portrait, 128)]))
    assert found.found.tolist() == [True, True, False]
    left, right = found.centres[0]
    assert left[0] < right[0]
    assert found.centres[1, :, 1] - found.centres[0, :, 1] == pytest.approx([6 / 128] * 2, abs=0.015)


def test_holes_and_pictures_are_reduced_together():
    holes = np.zeros((1, 128, 128), dtype=bool)
    holes[0, 3, 5] = True
    assert np.argwhere(looks.reduced_holes(holes)).tolist() == [[0, 1, 2]]
    assert looks.reduced(np.zeros((1, 128, 128, 3), np.uint8)).shape == (1, 64, 64, 3)


def test_fillings_that_never_differ_have_no_diversity(pictures):
    network = lambda images: images.float().mean((2, 3)).numpy() / 255  # noqa: E731
    holes = np.ones((3, 16, 16), dtype=bool)
    assert measure.diversity(lambda images, holes, seed: images, pictures, holes, network) == 0
    other = lambda images, holes, seed: np.roll(images // seed, seed, axis=3)  # noqa: E731
    assert measure.diversity(other, pictures, holes, network) > 0


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command on a model and 40 pictures: the rows of its CSV."""
    monkeypatch.setattr(features, "efficientnet", lambda *a: lambda images: images.float().mean((2, 3)).numpy() / 255)
    monkeypatch.setattr(faces, "landmarks", lambda images: None)
    draws = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for index in range(40):
        small = Image.fromarray(draws.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(tmp_path / "data" / f"{index:02d}.png")

    def measured(model, *more) -> list[dict]:
        model.save_pretrained(tmp_path / "model")
        arguments = ["--model", tmp_path / "model", "--data", tmp_path / "data", "--out", tmp_path / "looks.csv"]
        arguments += ["--pictures", 20, "--masks", "center", *more]
        assert __main__.main(["looks", *map(str, arguments)]) == 0
        with open(tmp_path / "looks.csv", newline="") as file:
            return list(csv.DictReader(file))

    return measured


def tiny_comod() -> CoMod:
    torch.manual_seed(0)
    widths = {f"{name}_channels": (8, 8, 16, 16) for name in ("encoder", "decoder", "discriminator")}
    return CoMod(CoModConfig(image_size=32, latent_size=8, style_size=16, **widths)).eval()


def test_the_command_measures_each_mask_once_and_goes_on_where_it_stopped(run, monkeypatch):
    (row,) = run(tiny_comod(), "--proposal")
    assert row["mask"] == "center" and row["side"] == "32" and float(row["kid"]) != 0
    first, second = run(tiny_comod(), "--proposal", "--masks", "center", "half")
    assert first == row and second["mask"] == "half"
    monkeypatch.setattr(looks, "diversity", lambda *a: pytest.fail("measured again"))
    assert run(tiny_comod(), "--proposal", "--masks", "center", "half") == [first, second]


def test_other_pictures_of_the_same_name_are_measured_again(run, tmp_path):
    (row,) = run(tiny_comod(), "--proposal")
    Image.new("RGB", (32, 32)).save(tmp_path / "data" / "00.png")
    assert run(tiny_comod(), "--proposal")[1]["psnr_hole"] != row["psnr_hole"]


def test_another_encoder_is_measured_again(run, tmp_path):
    model = Inpainter(tiny_comod(), device="cpu")
    run(model, "--set", "steps=0")
    torch.manual_seed(0)
    config = EncoderConfig(image_size=32, latent_size=8, channels=(4, 4, 4))
    for rows in (2, 3):
        model.encoder = Encoder(config).eval()
        assert len(run(model, "--set", "steps=0")) == rows


def test_each_picture_has_its_own_drawn_code_unless_the_seed_is_zero():
    model = Inpainter(tiny_comod(), device="cpu")
    fill = looks.filler(model, {"steps": 0}, proposal=False)
    picture, hole = np.zeros((1, 32, 32, 3), np.uint8), np.ones((1, 32, 32), bool)
    hole[:, 0] = False
    twice = picture.repeat(2, 0), hole.repeat(2, 0)
    assert (fill(*twice, 0)[0] == fill(*twice, 0)[1]).all()
    first, second = fill(*twice, 1)
    assert (first != second).any() and (fill(*twice, 2)[0] != first).any()


def test_recorded_figures_are_those_of_the_table_and_stand_on_the_models_card(run, tmp_path):
    (row,) = run(tiny_comod(), "--proposal", "--record")
    (entry,) = json.loads((tmp_path / "model" / "config.json").read_text())["training"]["evaluation"]
    assert entry["masks"]["center"] == {name: float(row[name]) for name in looks.RECORDED}
    assert entry["settings"] == "proposal" and entry["images"] == 20
    card = cards.make_card(hub.load(tmp_path / "model"), "model")
    assert f"{float(row['kid']):.4g}" in card and "proposal" in card


def test_settings_are_those_of_the_library(run, capsys):
    (row,) = run(tiny_dcgan(), "--set", "steps=1", "blend=overlay")
    assert row["settings"] == "steps=1 blend=overlay"
    (drawn,) = run(tiny_dcgan(), "--set", "steps=1", "blend=overlay", "--seed", 1)[1:]
    assert drawn["settings"] == "steps=1 blend=overlay seed=1" and drawn["psnr_hole"] != row["psnr_hole"]
    arguments = ["looks", "--model", "dcgan-celeba", "--data", "x"]
    assert __main__.main([*arguments, "--set", "steps"]) == 1
    assert "expected NAME=VALUE, got 'steps'" in capsys.readouterr().err
    for wrong, why in {"stepz=1": "no setting 'stepz'", "steps=-1": "whole number from 0", "seed=1": "--seed"}.items():
        assert __main__.main([*arguments, "--set", wrong]) == 1
        assert why in capsys.readouterr().err
    assert __main__.main([*arguments, "--proposal"]) == 1
    assert "needs a conditional model" in capsys.readouterr().err
