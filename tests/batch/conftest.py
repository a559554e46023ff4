"""What the tests of batches share: a tiny model in a folder, pictures on the disk, an engine without processes."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_dcgan
from PIL import Image

from inpainter.batch import fill, run
from inpainter.batch.filling import Filler

STEPS = {"mode": "fast", "steps": 2, "refine": 0}


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("model")
    tiny_dcgan().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Twelve 16x16 pictures in a folder and one below it."""
    return make_photos(tmp_path / "photos", 12)


@pytest.fixture
def filled(model, monkeypatch):
    """`fill` with a tiny model, in this process: filled(input, output, mask=..., ...)."""
    monkeypatch.setitem(run.ENGINES, "local", in_this_process)
    return partial(fill, model=model, part_size=4, **STEPS)


def in_this_process(work, parts, workers, address, advance) -> None:
    filler = Filler(work.job)
    for part in parts:
        advance(work.write([filler(raw) for raw in work.read(part)]))


def make_photos(folder: Path, count: int) -> Path:
    draws = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("more" if number % 3 == 0 else "") / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return folder


def pictures_of(folder: Path) -> dict[str, bytes]:
    """The picture files of an output, by relative name."""
    files = (path for path in Path(folder).rglob("*") if path.is_file() and "_inpainter" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def rows_of(folder: Path) -> list[dict]:
    """The rows of an output of picture files."""
    files = sorted(Path(folder, "_inpainter", "rows").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
