"""Large sets are decoded once, and what was kept is used only when it is whole and still true."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from train.data import cache, sources
from train.data import loading as data


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of five pictures, one broken, and a cache directory of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    draws = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for index in range(5):
        image = Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        image.save(tmp_path / "pictures" / f"{index}.png")
    (tmp_path / "pictures" / "3.png").write_text("not a picture")
    return tmp_path / "pictures"


@pytest.fixture
def reads(monkeypatch) -> list[int]:
    """Grows by one with every picture that is read, usable or not."""
    seen: list[int] = []
    find = sources.find

    def counted(path):
        source = find(path)
        return replace(source, read=lambda index: seen.append(index) or source.read(index))

    monkeypatch.setattr(sources, "find", counted)
    return seen


def load(folder) -> torch.Tensor:
    return data.load_images(folder, 16, cache_above=100)


def kept() -> list:
    return sorted(cache.directory().iterdir())


def test_a_large_set_is_decoded_once_and_is_the_same_mapped_as_in_memory(folder, reads, caplog):
    in_memory = data.load_images(folder, 16)
    first = load(folder)
    reads.clear()
    second = load(folder)
    assert not reads
    assert torch.equal(first, in_memory)
    assert torch.equal(second, in_memory)
    assert "3.png" in caplog.text
    assert caplog.text.count("left out 1 unreadable file(s) of 5") == 3  # said again, each time
    second += 1  # a mapped tensor can be changed without harm to the file
    assert torch.equal(load(folder), in_memory)


def test_a_small_set_leaves_nothing_on_disk(folder):
    data.load_images(folder, 16)
    assert not cache.directory().exists()


@pytest.mark.parametrize("what", ["cut", "header", "empty"])
def test_a_damaged_file_is_made_again(folder, reads, what):
    expected = load(folder).clone()
    (file,) = kept()
    content = bytearray(file.read_bytes())
    if what == "header":
        content[:20] = b"?" * 20
    file.write_bytes({"cut": content[:-1], "empty": b""}.get(what, content))
    reads.clear()
    assert torch.equal(load(folder), expected)
    assert len(reads) == 5
    assert cache.read_rows(file) is not None


def test_changed_pictures_or_another_size_are_decoded_anew(folder, reads):
    load(folder)
    reads.clear()
    Image.new("RGB", (16, 16), "white").save(folder / "3.png")
    assert len(load(folder)) == 5
    assert len(reads) == 5
    assert data.load_images(folder, 8, cache_above=100).shape[-1] == 8
    os.utime(folder / "1.png", (1, 1))
    reads.clear()
    load(folder)
    assert len(reads) == 5


def test_an_interrupted_run_leaves_no_file_behind(folder, monkeypatch):
    def interrupted(source, index, size):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "cut", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(folder)
    assert kept() == []


def test_a_large_set_without_a_usable_picture_is_refused_and_not_kept(folder, monkeypatch):
    monkeypatch.setattr(sources, "read_image", lambda data: Image.new("RGB", (4, 4)))
    with pytest.raises(ValueError, match="no readable image among its 5"):
        load(folder)
    assert kept() == []


def test_what_a_kill_left_unfinished_is_cleared_up_a_day_later(folder):
    cache.directory().mkdir(parents=True)
    old, new = cache.directory() / ".1.npy.partial", cache.directory() / ".2.npy.partial"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    load(folder)
    assert not old.exists()
    assert new.exists()
