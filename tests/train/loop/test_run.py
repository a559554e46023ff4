"""A training run from outside: what it leaves, how it stops, goes on and refuses."""

import argparse
import json
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from conftest import ROOT
from helpers import TINY, assert_identical, state
from safetensors.torch import load_file

from inpainter import Inpainter
from inpainter.models.base import WEIGHTS_NAME
from train import __main__
from train.loop import options, run, trainer
from train.recipes.gan import GANTrainer

AUGMENT = ("--augment", "colour", "translation")


def train(archive, out, images: int, *more) -> int:
    arguments = ["gan", "--data", archive, "--out", out, "--images", images, "--batch-size", 8, "--held-out", 8]
    return __main__.main([str(a) for a in (*arguments, *TINY, *more)])


def test_the_log_has_the_mean_over_the_steps_that_measured_something(archive, tmp_path, monkeypatch):
    step = GANTrainer.train_step

    def measured(self, real, random):
        at = self.step
        return step(self, real, random) | {"all": torch.tensor(1.0)} | ({"late": torch.tensor(1.0)} if at > 1 else {})

    monkeypatch.setattr(GANTrainer, "train_step", measured)
    assert train(archive, tmp_path, 32) == 0
    (record,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert record["step"] == 4 and record["all"] == record["late"] == 1


def test_a_run_leaves_a_checkpoint_log_curves_samples_and_a_model_that_fills(archive, tmp_path):
    assert train(archive, tmp_path, 32) == 0
    (record,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert record["step"] == 4
    assert record["images"] == 32
    assert np.isfinite([record["d_loss"], record["g_loss"], record["diversity"]]).all()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "samples" / "0000004.png").exists()
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["training"]["images_seen"] == 32
    assert config["training"]["training_images"] == 32  # 40, less 8 held out
    picture = np.full((16, 16, 3), 99, np.uint8)
    assert Inpainter.from_pretrained(tmp_path / "model")(picture, np.eye(16, dtype=bool), steps=2).images.any()


def test_resumed_equals_uninterrupted_bit_for_bit(archive, tmp_path):
    options = (*AUGMENT, "--r1", 1)
    train(archive, tmp_path / "whole", 96, *options)
    train(archive, tmp_path / "parts", 40, *options)  # in the middle of the second epoch
    assert train(archive, tmp_path / "parts", 96, "--resume", *options) == 0
    assert state(tmp_path / "whole")["step"] == 12
    assert_identical(state(tmp_path / "whole"), state(tmp_path / "parts"))


def training_record(folder) -> dict:
    return json.loads((folder / "config.json").read_text())["training"]


def test_the_last_images_go_without_augmentation_exactly_also_on_resume_and_on_record(archive, tmp_path, monkeypatch):
    policies = []
    noted = lambda images, policy, random: policies.append(policy) or images  # noqa: E731
    monkeypatch.setattr("train.recipes.gan.diff_augment", noted)
    options = ("--augment", "colour", "--plain-last", 20)
    train(archive, tmp_path / "whole", 48, *options)
    assert policies == 3 * 3 * [("colour",)] + 3 * 3 * [()]  # 20 images are part of three batches
    monkeypatch.undo()
    train(archive, tmp_path / "whole", 48, "--resume", *options)  # no step is left
    train(archive, tmp_path / "parts", 16, "--augment", "colour")
    assert "images_without_augmentation" not in training_record(tmp_path / "parts" / "model")
    train(archive, tmp_path / "parts", 40, "--resume", *options)  # also plain from the fourth step on
    policies.clear()
    assert train(archive, tmp_path / "parts", 48, "--resume", "--augment", "colour", "--plain-last", 8) == 0
    assert training_record(tmp_path / "parts" / "model")["images_without_augmentation"] == 32
    assert training_record(tmp_path / "whole" / "model")["images_without_augmentation"] == 24


def test_resumed_in_the_middle_of_the_plain_part_equals_uninterrupted(archive, tmp_path):
    options = (*AUGMENT, "--plain-last", 32)
    train(archive, tmp_path / "whole", 64, *options)
    train(archive, tmp_path / "parts", 24, *AUGMENT)
    train(archive, tmp_path / "parts", 48, *AUGMENT, "--plain-last", 16, "--resume")
    assert train(archive, tmp_path / "parts", 64, "--resume", *options) == 0
    assert_identical(state(tmp_path / "whole"), state(tmp_path / "parts"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--plain-last", 8), "has no effect without --augment"),
        (("--plain-last", 17, "--augment", "colour"), "--plain-last 17 must not exceed --images 16"),
    ],
)
def test_a_plain_part_without_another_is_refused(archive, tmp_path, capsys, options, says):
    assert train(archive, tmp_path, 16, *options) == 1
    assert says in capsys.readouterr().err


def test_snapshots_are_kept_every_so_many_images_and_at_the_end_whenever_the_run_was_stopped(archive, tmp_path):
    keep = ("--keep-every", 20)
    train(archive, tmp_path / "whole", 64, *keep)
    names = ["0000024", "0000040", "0000064"]  # the first steps at or past 20, 40 and 60: 60 and the end are one
    assert sorted(path.name for path in (tmp_path / "whole" / "snapshots").iterdir()) == names
    train(archive, tmp_path / "parts", 32)
    train(archive, tmp_path / "parts", 64, "--resume", *keep)
    assert sorted(path.name for path in (tmp_path / "parts" / "snapshots").iterdir()) == names[1:]
    for name in names[1:]:
        one, other = (load_file(tmp_path / run / "snapshots" / name / WEIGHTS_NAME) for run in ("whole", "parts"))
        assert_identical(one, other)
        assert training_record(tmp_path / "whole" / "snapshots" / name)["images_seen"] == int(name)
    assert Inpainter.from_pretrained(tmp_path / "whole" / "snapshots" / names[0]).size == 16


def test_snapshots_are_listed_by_age_without_one_that_a_kill_cut_short(tmp_path):
    for name in ("10000000", "9900000", "0000100", ".10000100.partial"):
        (tmp_path / "snapshots" / name).mkdir(parents=True)
        (tmp_path / "snapshots" / name / WEIGHTS_NAME).touch()
    assert [folder.name for folder in run.snapshots(tmp_path)] == ["0000100", "9900000", "10000000"]


def test_a_kill_between_snapshot_and_checkpoint_loses_neither(archive, tmp_path, monkeypatch):
    def killed(path, state):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "save_checkpoint", killed)
    assert train(archive, tmp_path, 32, "--keep-every", 16) == 130
    monkeypatch.undo()
    assert train(archive, tmp_path, 32, "--keep-every", 16, "--resume") == 0
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == ["0000016", "0000032"]


KILLED_AT_SAMPLES = """
import os, signal, sys
from PIL import Image
from train import __main__

save = Image.Image.save
def killed(image, path, *arguments, **options):
    if str(path).endswith("samples.png"):  # the last file of a model folder but its card
        os.kill(os.getpid(), signal.SIGKILL)
    save(image, path, *arguments, **options)
Image.Image.save = killed
__main__.main(sys.argv[1:])
"""


def test_a_kill_during_the_first_save_leaves_no_half_model_and_the_run_goes_on_to_a_clean_folder(archive, tmp_path):
    options = ["gan", "--data", archive, "--out", tmp_path, "--images", 16, "--batch-size", 8, "--held-out", 8, *TINY]
    command = [sys.executable, "-c", KILLED_AT_SAMPLES, *map(str, options)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    assert train(archive, tmp_path, 24, "--resume") == 0
    assert Inpainter.from_pretrained(tmp_path / "model").size == 16
    kept = {"checkpoint.pt", "metrics.jsonl", "curves.png", "samples", "model"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_finished_run_resumed_says_how_to_go_on(archive, tmp_path, caplog):
    train(archive, tmp_path, 16)
    with caplog.at_level("INFO"):
        assert train(archive, tmp_path, 16, "--resume") == 0
    assert "already trained on 16 images; to continue, raise --images" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_the_step_and_saves(archive, tmp_path, monkeypatch, caplog, number):
    step = GANTrainer.train_step

    def interrupted(self, real, random):
        if self.step == 2:
            os.kill(os.getpid(), number)
        return step(self, real, random)

    usual = signal.getsignal(number)
    monkeypatch.setattr(GANTrainer, "train_step", interrupted)
    with caplog.at_level("INFO"):
        assert train(archive, tmp_path, 96) == 0
    assert state(tmp_path)["step"] == 3
    assert (tmp_path / "samples" / "0000003.png").exists()
    assert "stopped at step 3" in caplog.text
    assert signal.getsignal(number) == usual


@pytest.fixture
def interruptible():
    """Ctrl-C interrupts, even where the tests run in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_signal_has_its_usual_effect(interruptible):
    with pytest.raises(KeyboardInterrupt), run.stopping_signals() as received:
        os.kill(os.getpid(), signal.SIGINT)
        assert received == [signal.SIGINT]
        os.kill(os.getpid(), signal.SIGINT)


def test_an_existing_run_is_not_overwritten_by_accident(archive, tmp_path, capsys):
    train(archive, tmp_path, 16)
    assert train(archive, tmp_path, 16) == 1
    assert "--resume" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_while_writing_a_checkpoint_leaves_the_previous_one(tmp_path):
    path = tmp_path / "checkpoint.pt"
    trainer.save_checkpoint(path, {"step": 1})
    child = os.fork()
    if not child:
        os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)  # all is written, nothing is renamed yet
        trainer.save_checkpoint(path, {"step": 2})
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert trainer.load_checkpoint(path, {}) == {"step": 1}
    trainer.save_checkpoint(path, {"step": 2})
    assert trainer.load_checkpoint(path, {}) == {"step": 2}
    assert list(tmp_path.iterdir()) == [path]  # what the kill left is gone


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--batch-size", 4), "batch size 8, but this run has 4"),
        (("--seed", 1), "seed 0, but this run has 1"),
        (("--channels", 8, 8), "channels 16 8, but this run has 8 8"),
        (("--augment", "cutout"), "augment none, but this run has cutout"),
        (("--d-norm", "none"), "d norm batch, but this run has none"),
        (("--held-out", 0), "training images 32, but this run has 40"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_in_a_sentence(made, archive, options, says, capsys):
    assert train(archive, made, 32, "--resume", *options) == 1
    assert says in capsys.readouterr().err


@pytest.fixture(scope="module")
def made(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    train(archive, out, 16)
    return out


def test_a_checkpoint_of_other_networks_that_it_does_not_name_is_refused_too(made, archive, tmp_path, capsys):
    older = state(made)
    del older["settings"]["d_norm"]
    torch.save(older, tmp_path / "checkpoint.pt")
    assert train(archive, tmp_path, 32, "--resume", "--d-norm", "none") == 1
    assert "the checkpoint lacks this run's model" in capsys.readouterr().err


class Bomb:
    """Unpickling this is a failure of the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("what", ["noise", "half", "bomb", "pickle", "other"])
def test_what_is_no_checkpoint_is_refused_and_never_unpickled(made, archive, tmp_path, capsys, what):
    path = tmp_path / "checkpoint.pt"
    whole = (made / "checkpoint.pt").read_bytes()
    path.write_bytes(
        {"noise": b"noise", "half": whole[: len(whole) // 2], "pickle": pickle.dumps(Bomb())}.get(what, b"")
    )
    if what in {"bomb", "other"}:
        torch.save(Bomb() if what == "bomb" else torch.zeros(3), path)
    assert train(archive, tmp_path, 32, "--resume") == 1
    assert "checkpoint.pt is not a" in capsys.readouterr().err


def test_nan_stops_the_run_and_the_checkpoint_from_before_remains(archive, tmp_path, monkeypatch, capsys):
    train(archive, tmp_path, 16)
    before = state(tmp_path)
    step = GANTrainer.train_step

    def broken(self, real, random):
        return step(self, real * float("nan"), random)

    monkeypatch.setattr(GANTrainer, "train_step", broken)
    assert train(archive, tmp_path, 24, "--resume") == 1
    assert "NaN" in capsys.readouterr().err
    assert_identical(state(tmp_path), before)
    assert train(archive, tmp_path, 8 * run.CHECK_STEPS * 2, "--resume") == 1  # and it does not wait for a save
    assert f"by step {run.CHECK_STEPS}" in capsys.readouterr().err


def test_data_smaller_than_a_batch_is_refused(archive, tmp_path, capsys):
    assert train(archive, tmp_path, 16, "--batch-size", 64) == 1
    assert "fewer than one batch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--batch-size", "0"), ("--batch-size", "2.5"), ("--learning-rate", "nan"), ("--ema", "2"), ("--r1", "-1")],
)
def test_impossible_numbers_are_refused_with_what_would_be_possible(archive, tmp_path, capsys, option, value):
    with pytest.raises(SystemExit):
        train(archive, tmp_path, 16, option, value)
    message = capsys.readouterr().err.splitlines()[-1]
    assert option in message
    assert repr(value) in message
    assert "number" in message


def test_missing_packages_and_trackers_are_named_in_a_sentence(archive, tmp_path, monkeypatch, capsys):
    assert train(archive, tmp_path, 16, "--tracker", "paper") == 1
    assert "tensorboard" in capsys.readouterr().err
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    assert train(archive, tmp_path, 16, "--tracker", "tensorboard") == 1
    assert "not installed" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert train(archive, tmp_path, 16) == 1
    assert ".[train]" in capsys.readouterr().err


def test_processes_that_do_not_start_alike_or_at_all_are_noticed(archive, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")  # as accelerate's launcher leaves it, with --cpu and no MPI
    monkeypatch.setattr("accelerate.Accelerator.gather", lambda self, steps: torch.tensor([3, 0]))
    assert train(archive, tmp_path, 16) == 1
    assert "this is the only one" in caplog.text
    assert "share" in capsys.readouterr().err


def test_a_tracker_gets_the_settings_and_every_record(archive, tmp_path, monkeypatch):
    from accelerate import tracking
    from accelerate.utils import LoggerType

    seen = []

    class Listed(tracking.GeneralTracker):
        name, requires_logging_directory, main_process_only = "tensorboard", True, True

        def __init__(self, project, logging_dir):
            super().__init__()

        tracker = None

        def store_init_configuration(self, values):
            seen.append(values)

        def log(self, values, step):
            seen.append((step, values["images"]))

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Listed)
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    assert train(archive, tmp_path, 24, "--tracker", "tensorboard", "--every", 0) == 0
    settings, *records = seen
    assert settings["channels"] == "16 8"
    assert all(isinstance(value, (str, int, float)) for value in settings.values())
    assert records == [(1, 8), (2, 16), (3, 24)]


def test_the_average_of_snapshots_has_their_mean_weights_and_statistics_of_its_own(archive, tmp_path, capsys):
    assert train(archive, tmp_path / "run", 48, "--keep-every", 16) == 0
    assert (
        __main__.main(["average", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "mean"), "--last", "2"]) == 0
    )
    folders = [*sorted((tmp_path / "run" / "snapshots").iterdir())[-2:], tmp_path / "mean"]
    one, two, mean = (load_file(folder / WEIGHTS_NAME) for folder in folders)
    for name, tensor in mean.items():
        if name.startswith("discriminator"):
            assert torch.equal(tensor, two[name])
        elif "running" not in name and "num_batches" not in name:
            expected = (one[name].float() + two[name].float()) / 2
            torch.testing.assert_close(tensor.float(), expected, atol=2e-3, rtol=2e-3)  # float16
    config = json.loads((tmp_path / "mean" / "config.json").read_text())
    assert (config["training"]["averaged_snapshots"], config["training"]["averaged_from"]) == (2, 32)
    images = Inpainter.from_pretrained(tmp_path / "mean", device="cpu").model.generate(torch.zeros(1, 8))
    assert torch.isfinite(images).all()
    assert __main__.main(["average", "--run", str(archive), "--out", str(tmp_path / "none")]) == 1
    assert "no snapshots" in capsys.readouterr().err


@pytest.mark.parametrize(("native", "expected"), [("bfloat16", "bf16"), ("float32", "no")])
def test_the_precision_is_what_the_device_has_instructions_for(tmp_path, monkeypatch, native, expected):
    monkeypatch.setattr(options, "quick_precision", lambda device: native)
    arguments = argparse.Namespace(precision="auto", device="cpu", tracker=None, out=tmp_path)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        assert options.make_accelerator(arguments).mixed_precision == arguments.precision == expected
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
