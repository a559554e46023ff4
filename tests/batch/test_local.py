"""The pool of processes: its bytes are those of one process, whatever is killed meanwhile."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import active_children

import pytest
from batch.conftest import STEPS, in_this_process, make_photos, pictures_of, rows_of
from conftest import ROOT

from inpainter.batch import EngineError, fill, local, run


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("many") / "photos", 60)


@pytest.fixture(scope="module")
def expected(photos, model, tmp_path_factory):
    """What one process makes of them, undisturbed."""
    out = tmp_path_factory.mktemp("expected") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(run.ENGINES, "local", in_this_process)
        assert fill(photos, out, mask="center", model=model, **STEPS).filled == 60
    return pictures_of(out)


@pytest.fixture
def pool(model):
    return partial(fill, mask="center", model=model, workers=2, part_size=5, **STEPS)


def test_a_killed_worker_is_replaced_and_its_pictures_are_done_again(pool, photos, expected, tmp_path):
    killed = []

    def kill(summary):
        if summary.filled >= 10 and not killed:
            killed.append(active_children()[0])
            killed[0].kill()

    summary = pool(photos, tmp_path / "out", progress=kill)
    assert (summary.filled, summary.failed, len(killed)) == (60, 0, 1)
    assert pictures_of(tmp_path / "out") == expected
    assert len(rows_of(tmp_path / "out")) == 60
    assert not active_children()


def test_after_its_driver_is_killed_a_run_goes_on_where_it_stopped(pool, photos, expected, tmp_path, model):
    command = [sys.executable, "-m", "inpainter", "batch", str(photos), "-o", str(tmp_path / "out"), "--mask", "center"]
    command += ["--model", model, "--steps", "2", "--refine", "0", "--mode", "fast", "--workers", "1"]
    driver = subprocess.Popen([*command, "--part-size", "5", "--quiet"], cwd=ROOT)
    rows = tmp_path / "out" / "_inpainter" / "rows"
    while driver.poll() is None and len(list(rows.glob("part-*"))) < 2:
        time.sleep(0.02)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    summary = pool(photos, tmp_path / "out")
    assert summary.filled + summary.skipped == 60 and summary.skipped >= 10
    assert pictures_of(tmp_path / "out") == expected
    assert len({row["key"] for row in rows_of(tmp_path / "out")}) == len(rows_of(tmp_path / "out")) == 60


class Deadly(local.Filler):
    """A filler whose process is killed by one picture, as by the kernel when memory runs out."""

    def __call__(self, raw):
        if raw.key == "007.png" and not raw.error:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(raw)


def serve_deadly(work, pipe):
    local.Filler = Deadly
    local._serve(work, pipe)


def test_a_picture_that_kills_its_process_again_and_again_is_a_row_with_an_error(model, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_serve", serve_deadly)
    monkeypatch.setattr(local, "DEATHS", 2)
    summary = fill(make_photos(tmp_path / "in", 8), tmp_path / "out", mask="center", model=model, workers=1, **STEPS)
    assert (summary.filled, summary.failed) == (7, 1)
    assert summary.errors == [("007.png", "the process that was filling it died, again and again.")]


def test_a_model_that_cannot_be_loaded_by_a_worker_ends_the_run_in_one_sentence(pool, photos, tmp_path):
    with pytest.raises((EngineError, ValueError), match="device"):
        pool(photos, tmp_path / "out", workers=1, device="nonsense")
    assert not active_children()
