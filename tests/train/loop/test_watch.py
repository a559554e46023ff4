"""The log, the curves, and warnings that are given when they should be and not before."""

import numpy as np
import pytest
import torch
from PIL import Image

from train.loop import watch

HEALTHY = {"d_loss": 0.6, "g_loss": 3.5, "d_accuracy": 0.88, "diversity": 0.94}
CHANCE = {"d_loss": 1.386, "g_loss": 0.693, "d_accuracy": 0.5, "diversity": 0.9}


def records(*measured: dict, first: int = 1000) -> list[dict]:
    return [
        {"step": first + 400 * index, "images": 64 * (first + 400 * index), **values}
        for index, values in enumerate(measured)
    ]


def test_healthy_runs_and_rough_starts_get_no_warning():
    # as measured on faces and house numbers
    assert not watch.warnings([])
    assert not watch.warnings(records(HEALTHY, HEALTHY | {"d_accuracy": 0.95}, HEALTHY | {"diversity": 0.7}))
    assert not watch.warnings(records(HEALTHY | {"d_accuracy": 0.99, "diversity": 0.06}, first=240))
    assert not watch.warnings(records(CHANCE, CHANCE, first=100))
    assert not watch.warnings(records({"reconstruction_loss": 80.0, "diversity": 0.6}))  # not a GAN


@pytest.mark.parametrize(
    ("history", "name"),
    [
        ((HEALTHY, HEALTHY | {"diversity": 0.2}), "collapse"),
        ((HEALTHY, HEALTHY | {"d_accuracy": 0.98}), "winning"),
        ((CHANCE, CHANCE), "blind"),
        ((CHANCE | {"d_loss": 0.69}, CHANCE | {"d_loss": 0.70}), "blind"),  # relativistic
    ],
)
def test_what_goes_wrong_is_named_once_until_it_is_over(history, name, caplog):
    log = records(*history)
    assert list(watch.warnings(log)) == [name]
    watch.log_new_warnings(log)
    assert len(caplog.records) == 1
    assert str(log[-1]["step"]) in caplog.text
    watch.log_new_warnings(records(*history, history[-1]))
    assert len(caplog.records) == 1
    assert not watch.warnings(records(*history, HEALTHY))


def test_chance_for_one_interval_or_with_moving_losses_is_not_blindness():
    assert not watch.warnings(records(HEALTHY, CHANCE))
    assert not watch.warnings(records(CHANCE | {"g_loss": 0.9}, CHANCE | {"g_loss": 0.5}))


def test_spread_is_the_same_for_alike_sets_and_falls_when_images_repeat():
    images = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert watch.spread(images[:100]) == pytest.approx(watch.spread(images[100:]), rel=0.05)
    assert watch.spread(images[:1].expand(64, -1, -1, -1)) == 0
    assert watch.spread(images[:2].repeat(32, 1, 1, 1)) < 0.8 * watch.spread(images)


def test_the_log_comes_back_as_written_up_to_the_checkpoint_without_what_a_kill_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert watch.read_log(path, 100) == []
    log = records(HEALTHY, HEALTHY, HEALTHY)
    watch.write_log(path, log)
    assert watch.read_log(path, log[-1]["step"]) == log
    assert watch.read_log(path, log[1]["step"]) == log[:2]
    path.write_text(path.read_text()[:-30])
    assert watch.read_log(path, 10**9) == log[:2]


@pytest.mark.parametrize("measured", [[HEALTHY], [HEALTHY, HEALTHY | {"r1_loss": 0.1}], [{"diversity": 0.6}]])
def test_curves_are_drawn_from_the_first_record_on(tmp_path, measured):
    watch.draw_curves(records(*measured), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
