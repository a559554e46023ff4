"""What an evaluation says about refinement, numbers of starts and perceptual distance, and in which words."""

import csv

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from PIL import Image

from inpainter import Inpainter, masks, metrics
from inpainter.results import compose
from train import __main__
from train.evaluation import appearance, perceptual, report
from train.looks import faces


def mean_colours(images: torch.Tensor) -> np.ndarray:
    """A network of three features: the picture's mean colour."""
    return images.float().mean((2, 3)).numpy()


@pytest.fixture
def evaluated(tmp_path, pictures, monkeypatch):
    """Evaluates a tiny model on four pictures under the centre mask: the rows of the CSV by method."""
    monkeypatch.setattr(perceptual, "network", lambda device: mean_colours)
    tiny_dcgan().save_pretrained(tmp_path / "model")
    (tmp_path / "celeba-tiny").mkdir()
    for index in range(4):
        Image.fromarray(np.roll(pictures[index % 3], index, axis=1)).save(tmp_path / "celeba-tiny" / f"{index}.png")

    def run(*more) -> dict[str, list[dict]]:
        options = ["--model", tmp_path / "model", "--data", tmp_path / "celeba-tiny", "--out", tmp_path / "out"]
        options += ["--masks", "center", "--steps", 3, "--batch-size", 2, *more]
        assert __main__.main(["evaluate", *map(str, options)]) == 0
        with open(tmp_path / "out" / "images.csv", newline="") as file:
            rows: dict[str, list[dict]] = {}
            for row in csv.DictReader(file):
                rows.setdefault(row["method"], []).append(row)
        return rows

    run.folder = tmp_path / "out"
    run.model = Inpainter.from_pretrained(tmp_path / "model", device="cpu")
    run.images = np.stack([np.asarray(Image.open(tmp_path / "celeba-tiny" / f"{index}.png")) for index in range(4)])
    return run


def column(rows: list[dict], name: str = "psnr_hole") -> list[float]:
    return [float(row[name]) for row in rows]


def psnr(filled: np.ndarray, images: np.ndarray) -> np.ndarray:
    return metrics.psnr(filled, images, np.stack([masks.center(16)] * len(images)))


def test_refined_is_the_library_s_refinement_of_what_ours_found(evaluated):
    rows = evaluated("--methods", "ours", "refined")
    expected = evaluated.model(evaluated.images, masks.center(16), mode="paper", steps=3, refine=20)
    assert column(rows["refined"]) == pytest.approx(psnr(expected.images, evaluated.images), abs=0.1)
    assert column(rows["refined"], "context_loss") == pytest.approx(expected.context_loss, rel=0.02)
    assert (np.array(column(rows["refined"], "context_loss")) < column(rows["ours"], "context_loss")).all()
    assert len(list(evaluated.folder.glob("cells/center-ours-*"))) == 2  # one search for both


@pytest.mark.parametrize(("method", "settings"), [("best", {"mode": "paper", "steps": 3}), ("average-of-defaults", {})])
def test_averages_are_of_the_generated_images_and_then_blended(evaluated, method, settings):
    rows = evaluated("--methods", method, "--starts", 2)
    settings = {"refine": 20, **settings}
    found = [evaluated.model(evaluated.images, masks.center(16), seed=seed, **settings) for seed in (0, 1)]
    generated = torch.stack([result._generated for result in found]).mean(0)
    average = compose(evaluated.images, generated, np.stack([masks.center(16)] * 4), "poisson")
    assert column(rows[method]) == pytest.approx(psnr(average, evaluated.images), abs=0.1)


def test_both_ways_is_what_the_library_does(evaluated):
    rows = evaluated("--methods", "default", "both-ways")
    expected = evaluated.model(evaluated.images, masks.center(16), both_ways=True).images
    assert column(rows["both-ways"]) == pytest.approx(psnr(expected, evaluated.images), abs=0.1)
    assert column(rows["both-ways"]) != column(rows["default"])


@pytest.mark.parametrize(("method", "settings"), [("fast", {"refine": 0}), ("default", {})])
def test_the_fast_methods_are_what_the_library_does_unasked_without_and_with_refinement(evaluated, method, settings):
    rows = evaluated("--methods", method)
    expected = evaluated.model(evaluated.images, masks.center(16), **settings)
    assert column(rows[method]) == pytest.approx(psnr(expected.images, evaluated.images), abs=0.1)


def test_without_an_encoder_the_proposal_is_refused_with_the_reason(evaluated, capsys):
    assert "proposal" not in evaluated("--methods", "ours", "proposal")
    printed = capsys.readouterr().out
    assert "| proposal | - | - | - |" in printed
    assert "- proposal, center: the model proposes no codes." in printed


def test_several_numbers_of_starts_are_rows_from_one_set_of_searches(evaluated):
    rows = evaluated("--methods", "ours", "average-of-starts", "--starts", 1, 2, 3)
    assert list(rows) == ["ours", "average-of-starts (1)", "average-of-starts (2)", "average-of-starts (3)"]
    assert len(list(evaluated.folder.glob("cells/center-ours*"))) == 2 * 3  # batches, starts
    assert column(rows["average-of-starts (1)"]) == column(rows["ours"])
    alone = evaluated("--methods", "average-of-starts", "--starts", 2)
    assert column(alone["average-of-starts"]) == column(rows["average-of-starts (2)"])


def test_the_feature_distance_is_between_a_picture_and_its_own_original(evaluated, capsys):
    rows = evaluated("--methods", "ours")
    filled = evaluated.model(evaluated.images, masks.center(16), mode="paper", steps=3).images
    expected = np.linalg.norm(filled.mean((1, 2)) - evaluated.images.mean((1, 2)), axis=1)
    assert column(rows["ours"], "feature_distance") == pytest.approx(expected, abs=0.1)
    printed = capsys.readouterr().out
    apart = metrics.mean_pairwise_distance(evaluated.images.mean((1, 2)))
    assert f"Two different intact pictures are {apart:.2f} apart on average." in printed
    assert f" {np.mean(column(rows['ours'], 'feature_distance')):.2f} |" in printed


def test_feature_distances_are_computed_once(evaluated, monkeypatch):
    first = evaluated("--methods", "ours", "refined")
    monkeypatch.setattr(perceptual, "network", lambda device: lambda images: pytest.fail("computed again"))
    assert evaluated("--methods", "ours", "refined") == first


def test_without_its_network_the_feature_distance_is_a_dash(evaluated, monkeypatch, capsys):
    monkeypatch.setattr(perceptual, "network", lambda device: None)
    rows = evaluated("--methods", "ours", "refined")
    assert rows["ours"][0]["feature_distance"] == ""
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("| ours | center |") and line.split("|")[-3].strip() == "-" for line in lines)


def test_a_missing_package_is_a_warning_and_no_network(monkeypatch, caplog):
    def missing(device):
        raise ValueError("pip install it.")

    monkeypatch.setattr(perceptual.features, "efficientnet_lite0", missing)
    assert perceptual.network(torch.device("cpu")) is None
    assert "no feature distances will be measured: pip install it." in caplog.text


def test_the_looks_stand_in_a_table_below_those_of_the_intact_pictures_and_are_measured_once(
    evaluated, monkeypatch, capsys
):
    monkeypatch.setattr(appearance.features, "efficientnet", lambda architecture, device: mean_colours)
    monkeypatch.setattr(faces, "landmarks", lambda images: None)
    evaluated("--methods", "ours", "no-blend", "--images", 2, "--looks")
    printed = capsys.readouterr().out
    assert "| method | mask | kid | c2st |" in printed
    assert "| intact |  | " in printed and "| no-blend | center | " in printed
    with open(evaluated.folder / "looks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["intact", "ours", "no-blend"]
    assert all(row["kid"] and not row["eyes"] for row in rows)
    monkeypatch.setattr(appearance.measure, "looks", lambda *a: pytest.fail("measured again"))
    evaluated("--methods", "ours", "no-blend", "--images", 2, "--looks")
    arguments = ["--data", evaluated.folder.parent / "celeba-tiny", "--size", 16, "--methods", "telea", "--looks"]
    assert __main__.main(["evaluate", *map(str, arguments), "--images", "3"]) == 1
    assert "--looks needs 6 pictures for --images 3, got 4" in capsys.readouterr().err


def test_figures_show_the_methods_that_were_asked_for(evaluated):
    evaluated("--methods", "ours", "no-blend", "refined")
    height = Image.open(evaluated.folder / "center.png").height
    evaluated("--methods", "ours", "no-blend", "refined", "--show", "refined")
    assert Image.open(evaluated.folder / "center.png").height < height


def test_a_method_that_is_not_measured_cannot_be_shown(capsys):
    assert __main__.main(["evaluate", "--data", "x", "--methods", "tv", "--show", "ours"]) == 1
    assert "--show: ours is not among the methods measured: tv." in capsys.readouterr().err


def a_row(method: str, image: int, psnr_hole: float, mask: str = "center") -> dict:
    return dict.fromkeys(report.COLUMNS, 0.0) | {
        "data": "celeba", "method": method, "mask": mask, "image": image, "psnr_hole": psnr_hole
    }  # fmt: skip


def test_bold_is_what_is_above_both_of_the_papers_figures():
    rows = [a_row("a", 0, 21.4), a_row("b", 0, 21.2)]  # the paper: 19.4 and 21.3
    table = report.comparison("celeba64-test", rows, ["center"], ["a", "b"], {})
    assert "| a | **21.40** | 21.40 |" in table
    assert "| b | 21.20 | 21.20 |" in table
    assert "**" not in report.comparison("my pictures", rows, ["center"], ["a", "b"], {})


def test_looks_follow_the_psnr_where_they_were_measured():
    rows = [a_row("a", 0, 21.4), a_row("b", 0, 21.2)]
    table = report.comparison(
        "celeba64-test", rows, ["center"], ["a", "b"], {("center", "a"): {"kid": -0.04, "c2st": 0.5}}
    )
    assert "| a | **21.40** / 0.0 / 0.50 | 21.40 |" in table
    assert "| b | 21.20 | 21.20 |" in table


def test_a_gain_is_the_mean_of_paired_differences_with_its_standard_error():
    rows = [a_row("a", image, 10.0 * image) for image in range(3)]
    rows += [a_row("b", image, 10.0 * image + image) for image in range(3)]
    assert report.gain(rows, "b", "a") == f"+1.00 ± {np.std([0, 1, 2], ddof=1) / 3**0.5:.2f}"
    assert report.gain(rows, "a", "a") == ""
    assert report.gain(rows[:-1], "b", "a") == "-"
