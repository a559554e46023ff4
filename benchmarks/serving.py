"""The page as a process of its own, on loopback, with a folder of its own for what visitors bring."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORTS = range(20_000, 32_000)  # below those that Linux, macOS and Windows give to outgoing connections
START = 600  # seconds that a start may take, on a busy machine
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
def page_process(folder: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Serves the page; yields its address and its process, which is ended with the block.

    Args:
        folder: where its log is written, `server.log`, and visitors' files, below `files/`.
        environment: variables of the process.

    Raises:
        RuntimeError: with the log, when it does not come up.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "0",
        "INPAINTER_FILES": str(folder / "files"),
        "HF_HUB_OFFLINE": "1",
    }
    variables = {**os.environ, **settings, **environment}
    variables.pop("DISPLAY", None)  # it would open a browser
    log = folder / "server.log"
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + START
            while not answers(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the page did not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.2)
            yield address, process
        finally:
            process.terminate()
            process.wait(timeout=20)


def free_port() -> int:
    """A port of loopback that nobody listens at, and that the system gives to no connection before it is used."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port among a hundred from {PORTS.start} to {PORTS.stop}.")


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False
