"""Starts the page in a process of its own, for the tests that visit it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import BUNDLED, ROOT, tiny_dcgan

from inpainter import Inpainter

EXAMPLES = sorted(BUNDLED.glob("examples/*.png"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def page_server(log: Path, start_timeout: float = 180, files: Path | None = None) -> Iterator[str]:
    """Serves the page with the CelebA model and a tiny one on a free loopback port; yields its address."""
    models = log.parent / "models"
    shutil.copytree(BUNDLED, models / "dcgan-celeba")
    Inpainter(tiny_dcgan(), device="cpu").save_pretrained(models / "tiny")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "0",
        "INPAINTER_FILES": str(files or log.parent / "files"),
        "HF_HUB_OFFLINE": "1",
        "INPAINTER_MODELS": str(models),
    }
    environment.pop("DISPLAY", None)
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + start_timeout
            while not answers(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the page did not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False
