"""Starts the page in a process of its own, for the tests that visit it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import BUNDLED, tiny_dcgan

from benchmarks.serving import page_process
from inpainter import Inpainter

EXAMPLES = sorted(BUNDLED.glob("examples/*.png"))


@contextmanager
def page_server(folder: Path) -> Iterator[str]:
    """Serves the page with the CelebA model and a tiny one on a free loopback port; yields its address."""
    models = folder / "models"
    shutil.copytree(BUNDLED, models / "dcgan-celeba")
    Inpainter(tiny_dcgan(), device="cpu").save_pretrained(models / "tiny")
    with page_process(folder, INPAINTER_MODELS=str(models)) as (address, _):
        yield address
