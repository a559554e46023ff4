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


def test_workers_that_die_between_two_parts_are_replaced(pool, photos, expected, tmp_path):
    killed = []

    def kill_all(summary):
        if summary.filled >= 10 and not killed:
            for process in active_children():
                killed.append(process)
                process.kill()
                process.join()

    summary = pool(photos, tmp_path / "out", progress=kill_all)
    assert (summary.filled, summary.failed, len(killed)) == (60, 0, 2)
    assert pictures_of(tmp_path / "out") == expected


UNGUARDED = """
from inpainter import batch
{guard}batch.fill({photos!r}, {out!r}, mask="center", model={model!r}, workers=1, steps=0)
"""


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__': "])
def test_a_script_without_a_guard_is_told_to_have_one(photos, tmp_path, model, guard):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(photos=str(photos), out=str(tmp_path / "out"), model=model, guard=guard))
    run = subprocess.run(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    if guard:
        assert run.returncode == 0 and len(pictures_of(tmp_path / "out")) == 60
    else:
        assert run.stderr.count("Traceback") == 1  # the script's own, as of any exception
        assert run.stderr.splitlines()[-1].endswith('must call `fill` below `if __name__ == "__main__":`.')


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
