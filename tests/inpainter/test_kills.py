"""Runs over folders, killed at any moment: every picture is whole or not there, and a rerun does the rest."""

import multiprocessing
import os
import random
import signal
import threading
import time

import pytest
from batch.conftest import in_this_process, make_photos, model, pictures_of  # noqa: F401  a fixture
from tqdm import tqdm

from inpainter import __main__
from inpainter.batch import run

pytest.importorskip("fcntl")  # POSIX

KILLS = 20 if os.environ.get("NIGHTLY") else 4  # of each kind
PICTURES = 12


def command(kind: str, folder, output, model: str) -> list[str]:  # noqa: F811
    """What is run again as it was: `batch` goes on, and a folder is done once more."""
    options = ["--mask", "center", "--model", model, "--steps", "2", "--refine", "0", "--quiet", "-o", str(output)]
    if kind == "batch":
        return ["batch", str(folder), *options, "--part-size", "3"]
    return [str(folder / "more"), str(folder), *options, "--overwrite"]


def run_apart(arguments: list[str]) -> None:
    """Runs the command in a forked process, with a tqdm lock of its own: it may be killed while it holds it."""
    tqdm.set_lock(threading.RLock())
    __main__.main(arguments)


@pytest.mark.parametrize("kind", ["folder", "batch"])
def test_killed_at_any_moment_a_run_leaves_whole_pictures_and_a_rerun_does_the_rest(
    kind,
    model,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    monkeypatch.setitem(run.ENGINES, "local", in_this_process)
    photos = make_photos(tmp_path / "photos", PICTURES)
    for name in ("warm up", "expected"):
        begun = time.monotonic()
        assert __main__.main(command(kind, photos, tmp_path / name, model)) == 0
        taken = time.monotonic() - begun
    expected, draw, killed = pictures_of(tmp_path / "expected"), random.Random(0), 0
    assert len(expected) == PICTURES
    for number in range(KILLS):
        output = tmp_path / f"out{number // 2}"  # two kills in a row
        arguments = (command(kind, photos, output, model),)
        worker = multiprocessing.get_context("fork").Process(target=run_apart, args=arguments)
        worker.start()
        worker.join(draw.uniform(0, taken))
        worker.kill()
        worker.join()
        killed += worker.exitcode == -signal.SIGKILL
        seen = {name: data for name, data in pictures_of(output).items() if not name.rpartition("/")[2].startswith(".")}
        assert seen.items() <= expected.items()
        if number % 2:
            assert __main__.main(command(kind, photos, output, model)) == 0
            assert pictures_of(output) == expected  # and no hidden file beside them
    assert killed >= KILLS / 4
