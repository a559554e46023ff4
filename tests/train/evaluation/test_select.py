"""The choice among snapshots: what it prefers, what it keeps, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from PIL import Image

from inpainter import Inpainter, hub
from inpainter.baselines.context_encoder import ContextEncoder, ContextEncoderConfig
from train import __main__
from train.evaluation import scores, select
from train.looks import features


def pooled(images: torch.Tensor) -> np.ndarray:
    """Features without a network: the means over a 3x3 grid of each colour, (N, 27)."""
    return torch.nn.functional.adaptive_avg_pool2d(images.float(), 3).flatten(1).numpy()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with two snapshots; the pictures it was trained on are samples of the second."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(features, "efficientnet_lite0", lambda device: pooled)
    for name, model in (("0000100", tiny_dcgan(1)), ("0000200", tiny_dcgan(2))):
        hub.save(model, tmp_path / "run" / "snapshots" / name)
    (tmp_path / "data").mkdir()
    for index, image in enumerate(scores.sample(tiny_dcgan(2), 30, seed=5)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "data" / f"{index:02d}.png")
    return tmp_path / "run"


def choose(run, *more) -> int:
    options = ("--data", run.parent / "data", "--held-out", 10, "--images", 4, "--steps", 4, "--samples", 40)
    return __main__.main([str(a) for a in ("select", "--runs", run, *options, *more)])


@pytest.fixture
def measured(monkeypatch):
    """The snapshots that were measured, by their first weight."""
    seen, measure = [], select.Trial.measure

    def noted(self, model, network, advance):
        seen.append(model)
        return measure(self, model, network, advance)

    monkeypatch.setattr(select.Trial, "measure", noted)
    return seen


def result(run) -> dict:
    return json.loads((run / "select.json").read_text())


def test_the_snapshot_that_knows_the_held_out_pictures_is_best_by_every_score(run, capsys):
    assert choose(run, "--starts", 2, "--steps", 40) == 0
    printed = capsys.readouterr().out
    found = result(run)
    assert list(found["snapshots"]) == ["0000200", "0000100"]
    assert found["best"] == "0000200"
    assert f"best: {run / 'snapshots' / '0000200'}" in printed
    assert found["rule"] in printed
    best, other = found["snapshots"].values()
    assert best["feature_distance"] < other["feature_distance"]
    assert np.mean(list(best["psnr_hole"].values())) > np.mean(list(other["psnr_hole"].values()))
    rows = [line for line in printed.splitlines() if "snapshots" in line and line.startswith("|")]
    assert len(rows) == 2 and "0000200" in rows[0]
    assert f"{best['psnr_hole']['center']:.2f}" in rows[0]
    for name in found["snapshots"]:
        assert Image.open(run / "select" / f"{name}.png").width > 4 * 2 * 16


def test_what_is_scored_is_not_scored_again_unless_it_or_the_settings_changed(run, measured, capsys):
    choose(run)
    first, printed = result(run), capsys.readouterr().out
    choose(run)
    assert len(measured) == 2
    assert result(run) == first
    assert capsys.readouterr().out == printed
    hub.save(tiny_dcgan(3), run / "snapshots" / "0000100")
    hub.save(tiny_dcgan(4), run / "snapshots" / "0000300")
    choose(run)
    assert len(measured) == 4
    assert result(run)["snapshots"]["0000200"] == first["snapshots"]["0000200"]
    choose(run, "--steps", 3)
    assert len(measured) == 7


def test_a_stop_keeps_what_was_scored_and_a_damaged_file_is_made_anew(run, measured, monkeypatch, caplog):
    measure = select.Trial.measure

    def stopped(self, model, network, advance):
        if measured:
            raise KeyboardInterrupt
        return measure(self, model, network, advance)

    monkeypatch.setattr(select.Trial, "measure", stopped)
    assert choose(run) == 130
    assert list(result(run)["snapshots"]) == ["0000100"]
    monkeypatch.setattr(select.Trial, "measure", measure)
    assert choose(run) == 0
    assert len(measured) == 2
    (run / "select.json").write_text("half a")
    with caplog.at_level("WARNING"):
        assert choose(run) == 0
    assert len(measured) == 4
    assert "scoring all snapshots again" in caplog.text


def test_the_order_is_by_both_places_and_equals_by_the_distance():
    scores = {
        name: {"feature_distance": distance, "psnr_hole": {"center": psnr, "half": psnr}}
        for name, distance, psnr in (("far", 9, 20), ("poor", 1, 10), ("good", 2, 19), ("bad", 8, 9), ("so", 5, 18))
    }
    # places: far 5 + 1, poor 1 + 4, good 2 + 2, bad 4 + 5, so 3 + 3
    assert list(select.ranked(scores)) == ["good", "poor", "so", "far", "bad"]


def test_every_row_takes_every_step_whatever_the_progress_bar_answers():
    told = []
    trial = select.Trial(np.zeros((2, 27)), np.full((5, 16, 16, 3), 99, np.uint8), steps=7, starts=2, samples=4)
    model = Inpainter(tiny_dcgan(), device="cpu")
    trial.measure(model, pooled, lambda steps: not told.append(steps))  # True would end a search
    assert sum(told) == trial.work == 4 * 5 * 2 * 7


def test_runs_compete_with_each_other_and_each_keeps_its_own_scores(run, capsys):
    hub.save(tiny_dcgan(4), run.parent / "other" / "snapshots" / "0000100")
    choose(run, "--runs", run.parent / "other", run)
    assert capsys.readouterr().out.count("/snapshots/") == 4  # three rows and the best
    assert list(result(run.parent / "other")["snapshots"]) == ["0000100"]


def test_what_cannot_be_compared_is_refused_in_a_sentence(run, capsys):
    assert choose(run / "snapshots") == 1
    assert "train with --keep-every IMAGES" in capsys.readouterr().err
    filler = ContextEncoder(ContextEncoderConfig(image_size=16, bottleneck=12, channels=(16, 8)))
    (run / "snapshots" / "0000300").mkdir()
    filler._save_pretrained(run / "snapshots" / "0000300")
    assert choose(run) == 1
    assert "family is 'context-encoder'" in capsys.readouterr().err


def test_a_warning_says_when_a_snapshot_saw_the_held_out_pictures(run, caplog):
    path = run / "snapshots" / "0000100" / "config.json"
    config = json.loads(path.read_text())
    config["training"]["training_images"] = 30
    path.write_text(json.dumps(config))
    with caplog.at_level("WARNING"):
        choose(run)
    assert "trained on 30 pictures, but there are 20 without the held-out ones" in caplog.text
