import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from PIL import Image

from benchmarks import search as benchmark
from benchmarks.measuring import peak_memory
from inpainter import masks


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
    assert sum(line.startswith(("| center |", "| half |", "| all |")) for line in lines) == 9  # masks x searches
    assert sum("met, " in line for line in lines) == 3  # one speed and two qualities
    assert Image.open(tmp_path / "plot.png").width > 500


def test_the_starts_of_fast_searches_are_the_inpainters_choice(tiny, pictures, monkeypatch):
    codes = tiny.model.sample_latents(3)
    problem = benchmark.Problem(pictures, np.ones((3, 16, 16), bool) & masks.center(16), codes)
    seen = []

    def choose(pictures, holes, searched, settings):
        seen.append(pictures[holes].any())
        return torch.full((3, 1, 8), 0.25), torch.ones(3, 1, dtype=torch.bool)

    monkeypatch.setattr(tiny, "_starting_codes", choose)
    chosen = benchmark.with_chosen_codes(tiny, problem)
    assert (chosen.codes == 0.25).all() and chosen.proposed.all()
    assert seen == [False]  # hidden pixels are not handed over
    assert (problem.codes == codes).all()


def test_searches_in_parts_are_the_searches_of_all(tiny, pictures, monkeypatch):
    draws = torch.Generator().manual_seed(0)
    holes = np.stack([masks.center(16)] * 3)
    problem = benchmark.Problem(pictures, holes, tiny.model.sample_latents(3, draws))
    loop = benchmark.paper(tiny.model, torch.device("cpu"))
    together, curve = benchmark.run_search(loop, problem, 4, "together")
    monkeypatch.setattr("benchmarks.loops.SEARCHED_AT_ONCE", 2)
    parted, parts = benchmark.run_search(loop, problem, 4, "parted")
    torch.testing.assert_close(parted, together, rtol=0, atol=1e-3)
    np.testing.assert_allclose(parts, curve, rtol=1e-3)


def test_an_aim_is_met_when_quality_is_reached_in_its_share_of_the_time():
    textbook = benchmark.Outcome(1.0, 10.0, 20.0, 0.8)
    good, better = benchmark.Outcome(1 / 25, 11.0, 20.1, 0.8), benchmark.Outcome(1 / 7, 9.9, 20.2, 0.81)
    means = {("textbook", 1500): textbook, ("fast", 300): good, ("fast", 1600): better}
    quality, loss = benchmark.quality_criteria(means, 1500)
    assert ": met, fast, 300 steps take 1/25.0" in quality
    assert ": not met, fast, 1600 steps take 1/7.0" in loss
    *_, loss = benchmark.quality_criteria({("textbook", 1500): textbook, ("fast", 300): good}, 1500)
    assert "none of the fast searches" in loss


def test_peak_memory_counts_what_a_call_holds():
    peak = peak_memory(torch.ones, torch.device("cpu"), 200_000_000)
    assert 800 < peak < 1600  # MB: 200 million float32, and the libraries


def test_the_benchmark_fails_when_results_do_not_agree(arguments, monkeypatch):
    def other(model, device):
        return lambda problem, steps, callback=None: problem.codes * np.float32(0.5)

    monkeypatch.setattr(benchmark, "paper", other)
    with pytest.raises(SystemExit, match="does not do what"):
        benchmark.main([*arguments, "--only-steps"])
