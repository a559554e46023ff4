import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import BUNDLED, ROOT, tiny_dcgan
from PIL import Image

from inpainter import Inpainter, __main__, masks


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_dcgan().save_pretrained(folder)
    return folder


@pytest.fixture
def photo(tmp_path, pictures) -> Path:
    Image.fromarray(pictures[0]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def run(model, capsys):
    """Runs the command line in this process: (exit status, standard output, standard error)."""

    def call(*arguments):
        status = __main__.main([str(a) for a in arguments] + ["--model", str(model), "--steps", "3"])
        return status, *capsys.readouterr()

    return call


def read(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("mask", masks.NAMES)
def test_it_fills_what_the_library_fills(run, photo, tmp_path, model, pictures, mask):
    settings = {"seed": 7, "prior_weight": 0.0, "truncation": 0.5}
    options = [text for name, value in settings.items() for text in ("--" + name.replace("_", "-"), value)]
    status, out, err = run(photo, "--mask", mask, "-o", tmp_path / "filled.png", *options)
    expected = Inpainter.from_pretrained(model)(pictures[0], masks.named(mask, 16), steps=3, **settings)
    assert status == 0, err
    assert (read(tmp_path / "filled.png") == expected.images[0]).all()
    assert "filled.png" in out


def test_both_ways_is_the_librarys(run, photo, tmp_path, model, pictures):
    status, out, err = run(photo, "--mask", "half", "--both-ways", "--json", "-o", tmp_path / "filled.png")
    expected = Inpainter.from_pretrained(model)(pictures[0], masks.half(16), steps=3, both_ways=True)
    record = json.loads(out)
    assert status == 0, err
    assert (record["both_ways"], record["starts"], record["truncation"]) == (True, 1, 1.0)
    assert record["context_loss"] == pytest.approx(float(expected.context_loss[0]))
    assert (read(tmp_path / "filled.png") == expected.images[0]).all()


def test_the_fast_search_can_be_asked_for_in_fewer_steps(run, photo, tmp_path, model, pictures):
    arguments = (photo, "--mask", "center", "--json", "--mode", "fast", "-o", tmp_path / "filled.png")
    status, out, err = run(*arguments)
    expected = Inpainter.from_pretrained(model)(pictures[0], masks.center(16), mode="fast", steps=3)
    assert status == 0, err
    assert json.loads(out)["mode"] == "fast"
    assert (read(tmp_path / "filled.png") == expected.images[0]).all()


def test_without_a_mode_and_steps_the_search_is_the_fast_one(photo, tmp_path, model, capsys):
    arguments = [str(photo), "--mask", "center", "--json", "--model", str(model), "-o", str(tmp_path / "filled.png")]
    assert __main__.main(arguments) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["mode"], record["steps"]) == ("fast", 150)


def test_a_mask_file_says_what_is_missing(run, photo, tmp_path, pictures):
    hole = masks.pattern(16)
    Image.fromarray(hole).save(tmp_path / "hole.png")
    status, *_ = run(photo, "--mask", tmp_path / "hole.png", "-o", tmp_path / "filled.png")
    assert status == 0
    assert (read(tmp_path / "filled.png")[~hole] == pictures[0][~hole]).all()


def test_json_gives_losses_settings_and_notes_a_line_a_picture(run, photo, tmp_path, pictures):
    Image.fromarray(pictures[1]).resize((40, 30)).save(tmp_path / "wide.png")
    status, out, _ = run(photo, tmp_path / "wide.png", "--mask", "half", "-o", tmp_path / "out", "--json", "--quiet")
    first, second = map(json.loads, out.splitlines())
    assert status == 0
    assert first["context_loss"] > 0
    assert first["prior_loss"] <= 0
    assert (first["mode"], first["steps"]) == ("fast", 3)
    assert first["note"] == ""
    assert second["note"] == "40x30 cropped to its centre square and resized to 16x16"
    assert Path(second["output"]) == tmp_path / "out" / "wide.png"


def test_the_output_says_when_a_picture_was_cropped(run, tmp_path, pictures):
    Image.fromarray(pictures[1]).resize((40, 30)).save(tmp_path / "wide.png")
    _, out, _ = run(tmp_path / "wide.png", "--mask", "half", "-o", tmp_path / "filled.png")
    assert "40x30 cropped to its centre square and resized to 16x16" in out


def test_a_name_in_another_encoding_does_not_stop_the_others(run, photo, tmp_path):
    photo.with_name(os.fsdecode(b"caf\xe9.png")).write_bytes(photo.read_bytes())  # Latin-1
    status, out, err = run(tmp_path, "--mask", "center", "-o", tmp_path / "out")
    assert status == 0, err
    assert len(out.splitlines()) == len(list((tmp_path / "out").iterdir())) == 2


def test_hidden_files_of_a_folder_are_no_pictures(run, photo, tmp_path):
    (tmp_path / "._photo.png").write_bytes(b"no picture")  # macOS leaves them on other systems' disks
    status, _, err = run(tmp_path, "--mask", "center", "-o", tmp_path / "out")
    assert status == 0, err
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["photo.png"]


def test_a_folder_is_filled_whole_and_broken_pictures_do_not_stop_the_others(run, tmp_path, pictures):
    (tmp_path / "in").mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "in" / f"{index}.png")
    (tmp_path / "in" / "1b.png").write_text("not a picture")
    status, _, err = run(tmp_path / "in", "--mask", "center", "-o", tmp_path / "out")
    assert status == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["0.png", "1.png", "2.png"]
    assert err.count("error:") == 1
    assert "1b.png" in err


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tiff"])
def test_lossless_formats_keep_known_pixels(run, photo, tmp_path, pictures, suffix):
    run(photo, "--mask", "center", "-o", tmp_path / f"filled{suffix}")
    known = ~masks.center(16)
    assert (read(tmp_path / f"filled{suffix}")[known] == pictures[0][known]).all()


def test_existing_files_are_replaced_only_when_asked(run, photo, tmp_path):
    target = tmp_path / "filled.png"
    target.write_text("precious")
    status, _, err = run(photo, "--mask", "center", "-o", target)
    assert status == 1
    assert "--overwrite" in err
    assert target.read_text() == "precious"
    assert run(photo, "--mask", "center", "-o", target, "--overwrite")[0] == 0
    assert read(target).shape == (16, 16, 3)


def test_nothing_half_written_is_left_when_writing_fails(run, photo, tmp_path, monkeypatch):
    def fail(self, file, *arguments, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    (tmp_path / "out").mkdir()
    status, _, err = run(photo, "--mask", "center", "-o", tmp_path / "out" / "filled.png")
    assert status == 1
    assert "No space left" in err
    assert os.listdir(tmp_path / "out") == []


def mask_file(tmp_path, hole) -> Path:
    Image.fromarray(hole).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


BAD = {
    "no such file": (lambda t: [t / "none.png", "--mask", "center", "-o", t / "f.png"], "none.png"),
    "text": (lambda t: [t / "text.png", "--mask", "center", "-o", t / "f.png"], "not an image"),
    "truncated": (lambda t: [t / "cut.png", "--mask", "center", "-o", t / "f.png"], "damaged or incomplete"),
    "1x1": (lambda t: [t / "dot.png", "--mask", "center", "-o", t / "f.png"], "1x1"),
    "20000x20000": (lambda t: [t / "huge.png", "--mask", "center", "-o", t / "f.png"], "megapixels"),
    "no mask": (lambda t: [t / "photo.png", "--mask", "middle", "-o", t / "f.png"], "middle"),
    "mask is text": (lambda t: [t / "photo.png", "--mask", t / "text.png", "-o", t / "f.png"], "not an image"),
    "mask of another size": (
        lambda t: [t / "photo.png", "--mask", mask_file(t, np.ones((9, 7), bool)), "-o", t / "f.png"],
        "7x9",
    ),
    "mask without a hole": (
        lambda t: [t / "photo.png", "--mask", mask_file(t, np.zeros((16, 16), bool)), "-o", t / "f.png"],
        "nothing to fill",
    ),
    "everything missing": (
        lambda t: [t / "photo.png", "--mask", mask_file(t, np.ones((16, 16), bool)), "-o", t / "f.png"],
        "nothing to fill it from",
    ),
    "no output folder": (lambda t: [t / "photo.png", "--mask", "center", "-o", t / "none" / "f.png"], "none"),
    "output is a file": (lambda t: [t / "photo.png", "--mask", "center", "-o", t / "text.png" / "f.png"], "text.png"),
    "unknown format": (lambda t: [t / "photo.png", "--mask", "center", "-o", t / "f.xyz"], "f.xyz"),
    "two pictures, one file": (
        lambda t: [t / "photo.png", t / "text.png", "--mask", "center", "-o", t / "f.png"],
        "must be a folder",
    ),
    "two pictures of one name": (
        lambda t: [t / "photo.png", t / "photo.png", "--mask", "center", "-o", t / "out"],
        "two pictures",
    ),
    "empty folder": (lambda t: [t / "empty", "--mask", "center", "-o", t / "f.png"], "no pictures"),
    "no starts": (lambda t: [t / "photo.png", "--mask", "center", "-o", t / "f.png", "--starts", "0"], "starts"),
    "unknown device": (lambda t: [t / "photo.png", "--mask", "center", "-o", t / "f.png", "--device", "tpu9"], "tpu9"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_a_non_zero_exit_and_no_file(run, photo, tmp_path, case):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    if case == "20000x20000":
        Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    arguments, says = BAD[case]
    status, _, err = run(*arguments(tmp_path))
    assert status == 1
    assert says in err
    assert err.count("error:") == 1
    assert "Traceback" not in err
    assert not list(tmp_path.glob("f.*"))


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--steps", "1000000000", "steps must be a whole number from 0 to 100000"),
        ("--starts", "1000000", "starts must be a whole number from 1 to 1000"),
        ("--starts", "99999999999", "starts must be"),
        ("--refine", "100000", "refine must be"),
        ("--batch-size", "0", "batch_size must be"),
        ("--seed", "-1", "seed must be"),
        ("--prior-weight", "inf", "prior_weight must be a finite number"),
        ("--truncation", "nan", "truncation must be a finite number"),
        ("--device", "meta", "device 'meta' is not available"),
    ],
)
def test_a_number_out_of_bounds_is_one_sentence_before_any_work(photo, tmp_path, model, capsys, option, value, says):
    arguments = [photo, "--mask", "center", "-o", tmp_path / "f.png", "--model", model, option, value]
    assert __main__.main([str(a) for a in arguments]) == 1
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert not (tmp_path / "f.png").exists()


def test_an_unknown_model_is_one_sentence(photo, tmp_path, capsys):
    arguments = [str(photo), "--mask", "center", "-o", str(tmp_path / "f.png"), "--model", str(tmp_path / "none")]
    assert __main__.main(arguments) == 1
    assert "no such" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a file system that even root cannot write to")
def test_a_folder_that_cannot_be_written_to_is_one_sentence(run, photo):
    status, _, err = run(photo, "--mask", "center", "-o", "/proc/filled.png")
    assert status == 1
    assert "cannot" in err
    assert err.count("error:") == 1


def test_the_readme_command_runs_as_a_program_and_shows_progress(tmp_path):
    example = sorted((BUNDLED / "examples").glob("*.png"))[0]
    command = [sys.executable, "-m", "inpainter", example, "--mask", "center", "--model", BUNDLED, "-o"]
    done = subprocess.run(
        [*command, tmp_path / "filled.png", "--steps", "3"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "filled.png").shape == (64, 64, 3)
