"""Safe reads of untrusted files and atomic writes of files and folders.

Data goes to a hidden neighbour, `.NAME.partial`, which is renamed once all of it is on disk. A kill or a full disk
leaves the old file intact; the next write reuses a neighbour left behind by a kill.
"""

import contextlib
import ctypes
import errno
import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be renamed
    fcntl = None

EXCHANGE = 2  # RENAME_EXCHANGE of Linux's renameat2
HERE = -100  # its AT_FDCWD
LONGEST_NAME = 255  # bytes of a file's name
ATTEMPTS = 1000  # to open a neighbour that other processes keep removing


def check_regular(path: str | Path, max_bytes: int | None = None) -> None:
    """Raises ValueError if a file is a pipe, a device or larger than `max_bytes`; OSError if it does not exist."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path}: not a regular file, but a pipe, a socket or a device.")
    if max_bytes is not None and status.st_size > max_bytes:
        raise ValueError(f"{path}: {status.st_size:,} bytes, expected at most {max_bytes:,}.")


def read_bounded(path: str | Path, max_bytes: int) -> bytes:
    """Reads a regular file; raises as `check_regular` does."""
    check_regular(path, max_bytes)
    with open(path, "rb") as file:
        return file.read(max_bytes)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes | bytearray | memoryview, *, overwrite: bool = True) -> None:
    """Writes a file atomically.

    Raises:
        FileExistsError: if the file exists and `overwrite` is False.
        OSError: if not all of it could be written; an existing file stays as it was.
    """
    with staged_file(path, overwrite=overwrite, expected=memoryview(data).nbytes) as file:
        file.write(data)


@contextlib.contextmanager
def staged_file(path: str | Path, *, overwrite: bool = True, expected: int | None = None) -> Iterator[BinaryIO]:
    """Yields an empty file that takes the place of `path` when the block ends without an error.

    Args:
        expected: how many bytes it has in the end, so that a short write is noticed that the system does not report.

    Raises:
        As `write_bytes`.
    """
    path = Path(path)
    with _claimed(_beside(path), _open_file):
        with open(_beside(path), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        size = os.path.getsize(_beside(path))
        if expected not in (None, size):
            raise OSError(errno.EIO, f"only {size:,} of {expected:,} bytes were written", str(path))
        if path.exists() and not overwrite:
            raise FileExistsError(errno.EEXIST, "already exists", str(path))
        os.replace(_beside(path), path)


@contextlib.contextmanager
def staged_folder(path: str | Path, keep: Callable[[str], bool] = lambda name: False) -> Iterator[Path]:
    """Yields an empty folder that replaces `path` if the block ends without an error.

    Args:
        path: folder to create or replace.
        keep: given the relative path of a file in the old folder, returns whether to copy it to the new one.
    """
    path = Path(path).absolute()
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _beside(path)
    with _claimed(staged, _open_folder):
        for left in staged.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield staged
        old = [file for file in path.rglob("*") if file.is_file() and keep(file.relative_to(path).as_posix())]
        for file in old:
            target = staged / file.relative_to(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
        _replace_folder(staged, path)


def _beside(path: Path) -> Path:
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME - len("..partial"):
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f".{name}.partial")


def _open_file(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if fcntl:
        return descriptor
    os.close(descriptor)
    return None


def _open_folder(path: Path) -> int | None:
    with contextlib.suppress(FileExistsError):  # not `exist_ok`, which raises if the folder is gone a moment later
        path.mkdir()
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY) if fcntl else None


@contextlib.contextmanager
def _claimed(path: Path, open_: Callable[[Path], int | None]) -> Iterator[None]:
    """Locks a neighbour for us alone, where the system can; removes it if it is still there at exit."""
    for attempt in itertools.count():
        try:
            descriptor = open_(path)
        except FileNotFoundError:
            if attempt < ATTEMPTS and path.parent.is_dir():  # another process has just removed it
                continue
            raise
        if descriptor is None:
            break
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)  # its previous owner has renamed it
    ours = None if descriptor is None else os.fstat(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if ours is None or os.path.samestat(ours, os.stat(path)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if descriptor is not None:
            os.close(descriptor)


def _replace_folder(staged: Path, path: Path) -> None:
    """Replaces one folder by another: atomically on Linux, in two steps elsewhere."""
    if not path.exists():
        os.rename(staged, path)
        return
    descriptor = _open_folder(path)  # after the exchange this folder is the neighbour; lock it against other writers
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not _exchange(staged, path):
            old = path.with_name(f".{path.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            os.rename(path, old)
            os.rename(staged, path)
            staged = old
        shutil.rmtree(staged)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps the names of two folders atomically; returns False where the system cannot."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0
