"""Ray: the same bytes as one process, and sentences where there is no Ray."""

import builtins
import os

import psutil
import pytest
import ray
from batch.conftest import STEPS, make_photos, pictures_of, rows_of

from inpainter.batch import EngineError, cluster, fill


@pytest.fixture(scope="module")
def local_ray():
    """One small cluster for all tests of this file."""
    cluster.connect(None, 2)
    yield
    ray.shutdown()


def filling_processes() -> list[psutil.Process]:
    """The actors that hold a model, of this test's own cluster."""
    return [child for child in psutil.Process().children(recursive=True) if "FillPart" in "".join(child.cmdline())]


def test_ray_gives_the_bytes_of_one_process_also_when_an_actor_is_killed(local_ray, filled, model, tmp_path):
    photos = make_photos(tmp_path / "photos", 24)
    settings = {"mask": "center", "model": model, "part_size": 4, **STEPS}
    filled(photos, tmp_path / "one", mask="center")
    killed = []

    def kill(summary):
        if summary.filled >= 8 and not killed:
            killed.append(filling_processes()[0])
            killed[0].kill()

    (photos / "023.png").write_bytes(b"no picture")
    summary = fill(photos, tmp_path / "ray", engine="ray", workers=2, address="auto", progress=kill, **settings)
    assert (summary.filled, summary.failed, len(killed)) == (23, 1, 1)
    expected = {name: data for name, data in pictures_of(tmp_path / "one").items() if name != "023.png"}
    assert pictures_of(tmp_path / "ray") == expected
    assert sorted(row["key"] for row in rows_of(tmp_path / "ray")) == sorted(pictures_of(tmp_path / "one"))


def test_a_picture_that_kills_its_actor_again_and_again_is_a_row_with_an_error(local_ray, model, tmp_path, monkeypatch):
    class Deadly(cluster.FillPart):  # of a function, so that it travels whole
        def __init__(self, job, attempts):
            super().__init__(job, attempts)
            fill = self.fill
            self.fill = lambda raw: os._exit(9) if raw.key == "007.png" and not raw.error else fill(raw)

    monkeypatch.setattr(cluster, "FillPart", Deadly)
    monkeypatch.setattr(cluster, "DEATHS", 2)
    settings = {"mask": "center", "model": model, "part_size": 4, "address": "auto", **STEPS}
    photos = make_photos(tmp_path / "in", 12)
    summary = fill(photos, tmp_path / "out", engine="ray", workers=2, **settings)
    assert (summary.filled, summary.failed) == (11, 1)
    assert summary.errors == [("007.png", "the process that was filling it died, again and again.")]
    assert len(rows_of(tmp_path / "out")) == 12


def test_actors_that_die_as_they_start_end_the_run(local_ray, model, tmp_path, monkeypatch):
    class Stillborn(cluster.FillPart):
        def __init__(self, job, attempts):
            super().__init__(Poison(), attempts)

    class Poison:
        @property
        def model(self):
            os._exit(9)

    monkeypatch.setattr(cluster, "FillPart", Stillborn)
    monkeypatch.setattr(cluster, "DEATHS", 1)
    with pytest.raises(EngineError, match="die as they start"):
        photos = make_photos(tmp_path / "in", 2)
        fill(photos, tmp_path / "out", engine="ray", mask="center", model=model, address="auto")


def test_without_a_cluster_at_the_address_it_says_so_soon(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(EngineError, match=r"ray://127.0.0.1:9: no Ray cluster answers there"):
        cluster.connect("ray://127.0.0.1:9", 1)


def test_without_ray_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments):
        if name.startswith("ray"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EngineError, match=r"needs Ray: pip install -e '\.\[scale\]'"):
        cluster.connect(None, 1)
