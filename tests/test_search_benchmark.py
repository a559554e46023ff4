import numpy as np
import pytest
from conftest import tiny_dcgan
from PIL import Image

from benchmarks import search as benchmark


@pytest.fixture
def arguments(tmp_path, pictures) -> list[str]:
    tiny_dcgan().save_pretrained(tmp_path / "model")
    (tmp_path / "data").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "data" / f"{number}.png")
    places = ["--model", str(tmp_path / "model"), "--data", str(tmp_path / "data")]
    sizes = ["--pictures", "2", "--rounds", "1", "--steps", "3", "--fast-steps", "2", "--batch-sizes", "1", "2"]
    return [*places, *sizes, "--device", "cpu"]


def test_the_benchmark_prints_its_tables_and_draws_its_curves(arguments, tmp_path, capsys):
    benchmark.main([*arguments, "--masks", "center", "half", "--plot", str(tmp_path / "plot.png")])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("| 1 |", "| 2 |")) for line in lines) == 6  # batch sizes x loops
    assert sum(line.startswith(("| center |", "| half |")) for line in lines) == 6  # masks x searches
    assert Image.open(tmp_path / "plot.png").width > 500


def test_the_benchmark_fails_when_results_do_not_agree(arguments, monkeypatch):
    def other(model, device):
        return lambda problem, steps, callback=None: problem.codes * np.float32(0.5)

    monkeypatch.setattr(benchmark, "paper", other)
    with pytest.raises(SystemExit, match="does not do what"):
        benchmark.main([*arguments, "--only-steps"])
