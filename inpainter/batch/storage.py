"""Folders and files at local paths or at URLs that fsspec supports (s3://, hf://, ...)."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import fsspec

from ..files import read_bounded, write_bytes

MAX_BYTES = 1 << 30  # of a picture file
OWN_FOLDER = "_inpainter"  # in an output: the manifest and the rows


class StorageError(ValueError):
    """Raised if a place cannot be read or written; says why in one sentence."""


@dataclass(frozen=True)
class Store:
    """A folder or a single file. Names are paths below `url`; "" is the place itself."""

    url: str

    @property
    def local(self) -> bool:
        return "://" not in self.url

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Lists all files below as (name, bytes), sorted by name, except hidden ones and those in `OWN_FOLDER`."""
        with in_one_sentence(self.url):
            found = self._local_sizes() if self.local else self._remote_sizes()
            yield from sorted(entry for entry in found if not hidden(entry[0]))

    def is_folder(self) -> bool:
        with in_one_sentence(self.url):
            fs, root = self._open()
            return fs.isdir(root)

    def exists(self, name: str = "") -> bool:
        with in_one_sentence(self._where(name)):
            fs, root = self._open()
            return fs.exists(_join(root, name))

    def read(self, name: str = "") -> bytes:
        """Reads a file; raises `StorageError`, also if it is larger than `MAX_BYTES`."""
        with in_one_sentence(self._where(name)):
            fs, root = self._open()
            path = _join(root, name)
            if self.local:
                return read_bounded(path, MAX_BYTES)
            with fs.open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise StorageError(f"{self._where(name)}: more than the {MAX_BYTES >> 20} MiB that can be read.")
            return data

    def open(self, name: str = "") -> BinaryIO:
        """Opens a file for reading at any position."""
        with in_one_sentence(self._where(name)):
            fs, root = self._open()
            return fs.open(_join(root, name), "rb")

    def write(self, name: str, data: bytes) -> None:
        """Writes a file atomically, creating its parent folders; raises `StorageError`."""
        with in_one_sentence(self._where(name), writing=True):
            fs, root = self._open()
            path = _join(root, name)
            if self.local:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                write_bytes(path, data)
            else:
                fs.pipe_file(path, data)  # object stores show an object only once it is complete

    def remove(self, name: str) -> None:
        with in_one_sentence(self._where(name), writing=True):
            fs, root = self._open()
            fs.rm_file(_join(root, name))

    def _where(self, name: str) -> str:
        return _join(self.url, name)

    def _open(self) -> tuple[fsspec.AbstractFileSystem, str]:
        return _filesystem(self.url)

    def _local_sizes(self) -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self.url):  # does not follow links to folders, which could form a loop
            for file in files:
                path = os.path.join(folder, file)
                if os.path.isfile(path):
                    yield Path(os.path.relpath(path, self.url)).as_posix(), os.path.getsize(path)

    def _remote_sizes(self) -> Iterator[tuple[str, int]]:
        fs, root = self._open()
        for path, about in fs.find(root, detail=True).items():
            yield path.removeprefix(root.rstrip("/")).lstrip("/"), about.get("size") or 0


def store_at(place: str | os.PathLike) -> Store:
    """Returns the store at a URL or a local path, which becomes absolute."""
    text = os.fspath(place)
    return Store(text.rstrip("/") if "://" in text else os.path.abspath(text))


@contextmanager
def in_one_sentence(where: str, writing: bool = False) -> Iterator[None]:
    """Converts any error of a file system to a `StorageError` that names the place."""
    try:
        yield
    except ValueError:
        raise
    except FileNotFoundError as error:
        raise StorageError(f"{where}: there is no such file, folder or bucket.") from error
    except PermissionError as error:
        raise StorageError(f"{where}: access is refused ({_first_line(error)}).") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"{where}: the disk is full; what is finished is kept.") from error
        verb = "written" if writing else "read"
        raise StorageError(f"{where}: cannot be {verb} ({_first_line(error)}).") from error
    except ImportError as error:
        raise StorageError(f"{where}: this needs another package ({_first_line(error)}).") from error
    except Exception as error:  # each kind of storage has its own errors, such as botocore's for credentials
        raise StorageError(f"{where}: cannot be reached ({_first_line(error)}).") from error


@cache
def _filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    return fsspec.core.url_to_fs(url)


def hidden(name: str) -> bool:
    """Returns whether a path is hidden, such as those that macOS adds to zips, or lies in `OWN_FOLDER`."""
    return any(part.startswith(".") or part == OWN_FOLDER for part in name.split("/"))


def _join(root: str, name: str) -> str:
    return f"{root}/{name}" if name else root


def _first_line(error: BaseException) -> str:
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
