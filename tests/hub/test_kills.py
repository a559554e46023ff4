"""Saves, pulls and pushes that are killed at any moment leave the old model or the new one, and nothing to clean up."""

import multiprocessing
import os
import random
import threading
from pathlib import Path

import pytest
from conftest import tiny_dcgan
from hub_server import WRITE_TOKEN, running_hub
from huggingface_hub import close_session

from inpainter import Inpainter
from inpainter import hub as models

pytest.importorskip("fcntl")  # POSIX

KILLS = 34 if os.environ.get("NIGHTLY") else 10  # of each kind


def work(kind: str, root: Path) -> None:
    """Does one thing over and over, with two models in turn."""
    close_session()  # the connections are the parent's
    seeds = [tiny_dcgan(seed) for seed in (0, 1)]
    while True:
        for seed, model in enumerate(seeds):
            if kind == "save":
                models.save(model, root / "model")
            elif kind == "pull":
                models.pull("user/tiny", root / "model", revision=f"v{seed}")
            else:
                models.push(root / f"seed{seed}", "user/tiny")


def contents(folder: Path) -> dict[str, bytes]:
    """A folder's files without the card, which names the folder that was saved."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("kind", ["save", "pull", "push"])
def test_killed_at_any_moment_it_leaves_the_old_model_or_the_new_one(monkeypatch, tmp_path, kind):
    root, draw = tmp_path / "work", random.Random(0)
    for seed in (0, 1):
        models.save(tiny_dcgan(seed), root / f"seed{seed}", "user/tiny")
    wholes = [contents(root / f"seed{seed}") for seed in (0, 1)]
    with running_hub(monkeypatch, tmp_path) as server:
        for seed in (0, 1):
            repo = server.publish("user/tiny", root / f"seed{seed}")
            repo.branches[f"v{seed}"] = repo.head()
        monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
        for _ in range(KILLS):
            worker = multiprocessing.get_context("fork").Process(target=work, args=(kind, root))
            worker.start()
            threading.Event().wait(draw.uniform(0.02, 0.6))  # the fixture has time.sleep return at once
            assert worker.exitcode is None
            worker.kill()
            worker.join()
            if kind == "push":
                assert {name: data for name, data in repo.files().items() if name != "README.md"} in wholes
            elif (root / "model").exists():
                assert contents(root / "model") in wholes
                Inpainter.from_pretrained(root / "model", device="cpu")
        if kind != "push":
            models.save(tiny_dcgan(), root / "model")
            assert contents(root / "model") == wholes[0]
    assert {path.name for path in root.iterdir()} <= {"model", "seed0", "seed1"}
