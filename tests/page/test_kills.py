"""The page as a process: a page that is killed at any moment comes up again, and nothing of its visitors is left."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import tiny_dcgan

pytest.importorskip("gradio", reason="Gradio is not installed")
pytest.importorskip("fcntl")  # POSIX

import httpx

from benchmarks.serving import page_process
from benchmarks.visiting import Visitor
from inpainter import Inpainter, masks
from page.runs.scene import pack

KILLS = 20 if os.environ.get("NIGHTLY") else 2
LONG = {"mode": "paper", "steps": 1500}


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """A page with the tiny model alone; whatever it writes anywhere is in `tmp`."""
    Inpainter(tiny_dcgan(), device="cpu").save_pretrained(tmp_path / "models" / "tiny")
    (tmp_path / "tmp").mkdir()
    return {"INPAINTER_MODELS": str(tmp_path / "models"), "TMPDIR": str(tmp_path / "tmp")}


def busy(page: str) -> None:
    """Uploads a picture, and searches until the connection breaks."""
    scene = {"model": "tiny", "picture": "example:sample", "square": None, "hole": pack(masks.center(16)), "preset": ""}
    try:
        with Visitor(page) as visitor:
            visitor.upload("face.png", b"private")
            while True:
                list(visitor.fill(scene | {"settings": LONG}))
    except (httpx.HTTPError, ValueError):
        return


def files_of(folder) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_killed_at_any_moment_a_page_comes_up_again_and_nothing_of_its_visitors_is_left(tmp_path, environment):
    draw = random.Random(0)
    for _ in range(KILLS):
        with page_process(tmp_path, **environment) as (page, process):
            assert "face.png" not in files_of(tmp_path / "files")  # of the one that was killed
            assert len(os.listdir(tmp_path / "files")) == 1
            visitors = [threading.Thread(target=busy, args=(page,)) for _ in range(3)]
            for visitor in visitors:
                visitor.start()
            visitors[0].join(draw.uniform(0.5, 3))
            process.kill()
            assert process.wait() == -signal.SIGKILL
            for visitor in visitors:
                visitor.join()
    with page_process(tmp_path, **environment) as (page, _), Visitor(page) as visitor:
        assert visitor.last("models")[0]["tiny"]["size"] == 16
        assert not files_of(tmp_path / "files")
    assert not files_of(tmp_path / "tmp")


def test_asked_for_help_it_says_how_it_is_set_up_and_serves_nothing(tmp_path, environment):
    command = [sys.executable, Path(__file__).parents[2] / "app.py", "--help"]
    ended = subprocess.run(command, env=os.environ | environment, cwd=tmp_path, capture_output=True, timeout=120)
    assert ended.returncode == 0 and b"GRADIO_SERVER_PORT" in ended.stdout
