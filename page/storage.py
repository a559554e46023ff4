"""Visitors' files: in a folder that is this process's own, for a day at most, and not more than the disk can hold."""

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a killed process leaves has to be removed by hand
    fcntl = None

PREFIX = "inpainter-page-"
AGE = 23 * 3600  # seconds that a file is kept
MOST = 4 * 10**9  # bytes; beyond them the oldest go first
EVERY = 60  # seconds between two looks


def own_files() -> Path:
    """A folder for this process's visitors, which nobody else can read; those of processes that are gone are removed.

    It has to be made before Gradio is imported, which reads the environment then.
    """
    parent = Path(os.environ.get("INPAINTER_FILES") or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # in use, or just removed by another process
            descriptor = _locked(left, wait=False)
            shutil.rmtree(left, ignore_errors=True)
            os.close(descriptor)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))  # mkdtemp: mode 0700
        if fcntl is None:
            break
        _locked(folder, wait=True)  # as long as this process lives
        if folder.is_dir():  # else one that was starting, too, took it for a left one
            break
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not a forked process
        shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path, wait: bool) -> int:
    """The descriptor of a folder that no other process has locked; raises OSError if one has."""
    if fcntl is None:
        raise OSError("folders cannot be locked here")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def keep_swept(folder: Path) -> None:
    """Sweeps a folder every minute, for as long as the process lives."""

    def work() -> None:
        while True:
            time.sleep(EVERY)
            sweep(folder)

    threading.Thread(target=work, daemon=True).start()


def sweep(folder: Path, age: float = AGE, most: int = MOST) -> None:
    """Removes files older than `age` seconds, and the oldest ones where there are more than `most` bytes."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                found.append((path.stat().st_mtime, path.stat().st_size, path))
    held = sum(size for _, size, _ in found)
    for written, size, path in sorted(found):
        if time.time() - written <= age and held <= most:
            break
        held -= size
        with contextlib.suppress(OSError):
            path.unlink()
            path.parent.rmdir()  # if it is empty now
