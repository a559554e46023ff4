"""Files are written whole or not at all, and only regular files are read."""

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT

from inpainter import files

resource = pytest.importorskip("resource")  # POSIX

ALONE = ROOT / "inpainter"  # where `import files` does not import torch


def entries(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def python(code: str, *arguments, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ALONE, capture_output=True, text=True, **options)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's list of open files")
def test_without_locks_a_file_is_closed_when_it_is_renamed(tmp_path, monkeypatch):
    """Windows has no `fcntl`, and renames no open file."""

    def replace(source, target):
        opened = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
        assert str(source) not in opened
        os.rename(source, target)

    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(os, "replace", replace)
    files.write_bytes(tmp_path / "a", b"old")
    files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and entries(tmp_path) == {"a"}


def test_written_file_holds_the_data_and_leaves_nothing_beside(tmp_path):
    files.write_bytes(tmp_path / "a", b"old")
    files.write_bytes(tmp_path / "a", memoryview(b"new one"))
    files.write_text(tmp_path / "b", "é\n")
    assert (tmp_path / "a").read_bytes() == b"new one" and (tmp_path / "b").read_bytes() == "é\n".encode()
    assert entries(tmp_path) == {"a", "b"}
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_longest_names_of_files_can_be_written(tmp_path):
    for name in ("a" * 255, "b" * 255, "é" * 127):
        files.write_bytes(tmp_path / name, b"data")
    assert entries(tmp_path) == {"a" * 255, "b" * 255, "é" * 127}


def test_existing_file_is_kept_unless_it_is_to_be_overwritten(tmp_path):
    files.write_bytes(tmp_path / "a", b"old")
    with pytest.raises(FileExistsError):
        files.write_bytes(tmp_path / "a", b"new", overwrite=False)
    assert (tmp_path / "a").read_bytes() == b"old" and entries(tmp_path) == {"a"}


@pytest.mark.parametrize("old", [None, b"old"])
def test_full_disk_leaves_the_old_file_and_says_so(tmp_path, old):
    if old:
        (tmp_path / "a").write_bytes(old)
    code = "import sys; import files; files.write_bytes(sys.argv[1], b'x' * 100_000)"
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # noqa: E731
    done = python(code, tmp_path / "a", preexec_fn=limit)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert entries(tmp_path) == ({"a"} if old else set())
    assert not old or (tmp_path / "a").read_bytes() == old


def test_short_write_that_the_system_does_not_report_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.truncate(descriptor, 2))
    with pytest.raises(OSError, match="only 2 of 3 bytes"):
        files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and entries(tmp_path) == {"a"}


WRITER = """
import sys
import files
print("ready", flush=True)
while True:
    for letter in b"ab":
        files.write_bytes(sys.argv[1] + "/file", bytes([letter]) * 3_000_000)
        with files.staged_folder(sys.argv[1] + "/folder") as staged:
            for number in range(20):
                files.write_bytes(staged / str(number), bytes([letter]) * 10)
"""


def test_kills_leave_whole_files_and_folders_and_the_next_write_cleans_up(tmp_path):
    for kill in range(12):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, cwd=ALONE, stdout=subprocess.PIPE) as writer:
            writer.stdout.readline()
            time.sleep(0.05 + 0.017 * kill)
            writer.send_signal(signal.SIGKILL)
        if (tmp_path / "file").exists():
            data = (tmp_path / "file").read_bytes()
            assert len(data) == 3_000_000 and len(set(data)) == 1
        if (tmp_path / "folder").exists():
            contents = {path.read_bytes() for path in (tmp_path / "folder").iterdir()}
            assert len(contents) == 1 and len(list((tmp_path / "folder").iterdir())) == 20
    files.write_bytes(tmp_path / "file", b"last")
    with files.staged_folder(tmp_path / "folder") as staged:
        (staged / "x").touch()
    assert entries(tmp_path) == {"file", "folder", "folder/x"}


def test_writers_of_one_file_wait_for_each_other(tmp_path):
    def write(letter: int) -> None:
        for _ in range(30):
            files.write_bytes(tmp_path / "a", bytes([letter]) * 100_000)
            with files.staged_folder(tmp_path / "b") as staged:
                for number in range(3):
                    (staged / str(number)).write_bytes(bytes([letter]))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, b"abcd"))
    data = (tmp_path / "a").read_bytes()
    assert len(data) == 100_000 and len(set(data)) == 1
    assert len({(tmp_path / "b" / str(number)).read_bytes() for number in range(3)}) == 1
    assert entries(tmp_path) == {"a", "b", "b/0", "b/1", "b/2"}


def test_a_neighbour_that_goes_away_while_it_is_claimed_is_made_again(tmp_path, monkeypatch):
    mkdir, others = os.mkdir, [str(tmp_path / ".a.partial")]

    def there_and_gone(path, *mode, **options):
        if str(path) in others:
            others.remove(str(path))
            raise FileExistsError(errno.EEXIST, "another process has it, and renames it now", str(path))
        mkdir(path, *mode, **options)

    monkeypatch.setattr(os, "mkdir", there_and_gone)
    with files.staged_folder(tmp_path / "a") as staged:
        (staged / "x").touch()
    assert not others and entries(tmp_path) == {"a", "a/x"}


@pytest.mark.parametrize("in_one_step", [True, False])
def test_staged_folder_replaces_the_old_one_but_for_what_is_kept(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    (tmp_path / "a" / "sub").mkdir(parents=True)
    for name in ("old", "sub/old", "sub/notes"):
        (tmp_path / "a" / name).touch()
    with files.staged_folder(tmp_path / "a", keep=lambda name: name.endswith("notes")) as staged:
        (staged / "new").touch()
        assert (tmp_path / "a" / "old").exists()
    assert entries(tmp_path) == {"a", "a/new", "a/sub", "a/sub/notes"}


def test_error_leaves_the_old_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    with pytest.raises(KeyError), files.staged_folder(tmp_path / "a") as staged:
        (staged / "new").touch()
        raise KeyError
    assert entries(tmp_path) == {"a", "a/old"}


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "long").write_bytes(b"x" * 11)
    for name, message in (("pipe", "pipe"), ("device", "device"), ("long", "11 bytes, expected at most 10")):
        with pytest.raises(ValueError, match=message):
            files.read_bounded(tmp_path / name, 10)
    with pytest.raises(IsADirectoryError):
        files.read_bounded(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        files.read_bounded(tmp_path / "none", 10)
    (tmp_path / "good").write_bytes(b"x" * 10)
    assert files.read_bounded(tmp_path / "good", 10) == b"x" * 10
