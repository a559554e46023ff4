"""Evaluations of several methods and data sets: what is compared, and that a stopped one goes on."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from helpers import tiny_comod
from PIL import Image

import inpainter
from inpainter import Inpainter, baselines, masks, metrics
from inpainter.models.vae import VAE, VAEConfig
from inpainter.results import compose
from train import __main__
from train.evaluation import cells, evaluate, figures, methods, perceptual, report, request


@pytest.fixture
def folder(tmp_path, pictures, monkeypatch):
    """A tiny model, and two folders of five pictures under names that the paper knows."""
    monkeypatch.setattr(perceptual, "network", lambda device: None)
    tiny_dcgan().save_pretrained(tmp_path / "model")
    draws = np.random.default_rng(0)
    for data in ("celeba-tiny", "svhn-tiny"):
        (tmp_path / data).mkdir()
        for index in range(5):
            noisy = np.roll(pictures[index % 3], index, axis=1) // 2 + draws.integers(0, 40, (16, 16, 3))
            Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / data / f"{index}.png")
    return tmp_path


def run(folder, *more, out="out", data=("celeba-tiny",), model=True) -> int:
    paths = ["--data", *(folder / name for name in data), "--out", folder / out, "--batch-size", 2, "--steps", 3]
    models = ["--model", *[folder / "model"] * len(data)] if model else ["--size", 16]
    return __main__.main([str(a) for a in ["evaluate", *paths, *models, *more]])


def rows_of(folder, out="out") -> list[dict]:
    with open(folder / out / "images.csv", newline="") as file:
        return list(csv.DictReader(file))


def originals(folder, count=5) -> np.ndarray:
    return np.stack([np.asarray(Image.open(folder / "celeba-tiny" / f"{index}.png")) for index in range(count)])


def without_seconds(table: str) -> str:
    """The tables less the one column that no two runs can have in common."""
    return re.sub(r"\| [\d.]+ \|( [\d.]* \|)?$", "|", table, flags=re.MULTILINE)


SOME = ("--methods", "ours", "no-blend", "best-of-starts", "tv", "telea", "--starts", 2, "--masks", "center", "pattern")


def test_a_killed_evaluation_goes_on_to_identical_tables_and_figures(folder, monkeypatch):
    assert run(folder, *SOME, out="whole") == 0
    write, written = cells.write_arrays, []

    def killed_at_the_eleventh(path, **cell):
        if len(written) == 10:
            path.with_name(f".{path.name}.partial").write_bytes(b"half a cell")
            raise KeyboardInterrupt
        written.append(path)
        write(path, **cell)

    monkeypatch.setattr(cells, "write_arrays", killed_at_the_eleventh)
    assert run(folder, *SOME, out="parts") == 130
    assert not (folder / "parts" / "table.md").exists()
    kept = {path: path.stat().st_mtime_ns for path in written}
    monkeypatch.setattr(cells, "write_arrays", write)
    assert run(folder, *SOME, out="parts") == 0
    assert {path: path.stat().st_mtime_ns for path in written} == kept  # nothing was computed twice
    whole, parts = folder / "whole", folder / "parts"
    assert (whole / "images.csv").read_bytes() == (parts / "images.csv").read_bytes()
    for name in ("center.png", "center-errors.png", "pattern-failures.png"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    tables = [without_seconds((path / "table.md").read_text()) for path in (whole, parts)]
    assert tables[0] == tables[1] and "best-of-starts" in tables[0]


def test_a_finished_evaluation_is_told_again_to_the_letter_without_computing(folder, monkeypatch):
    run(folder, *SOME)
    table = (folder / "out" / "table.md").read_bytes()
    monkeypatch.setattr(Inpainter, "__call__", lambda *a, **k: pytest.fail("computed again"))
    assert run(folder, *SOME) == 0
    assert (folder / "out" / "table.md").read_bytes() == table


def test_damaged_cells_are_computed_again(folder):
    run(folder, "--masks", "center")
    before = (folder / "out" / "images.csv").read_bytes()
    for path, content in zip(sorted((folder / "out" / "cells").iterdir()), (b"", b"junk"), strict=False):
        path.write_bytes(content)
    assert run(folder, "--masks", "center") == 0
    assert (folder / "out" / "images.csv").read_bytes() == before


@pytest.mark.parametrize("change", [("--steps", 5), ("--seed", 1), ("--prior-weight", 0.5), ("--blend", "overlay")])
def test_another_setting_does_not_meet_old_results(folder, change):
    run(folder, "--masks", "center")
    before = rows_of(folder)
    run(folder, "--masks", "center", *change)
    assert all(a["context_loss"] + a["psnr_hole"] != b["context_loss"] + b["psnr_hole"] for a, b in zip(
        before, rows_of(folder), strict=True
    ))  # fmt: skip


def test_variants_are_calls_of_the_library_with_one_thing_changed(folder):
    run(
        folder,
        "--masks",
        "center",
        "--methods",
        "ours",
        "unweighted",
        "l2",
        "no-prior",
        "truncated",
        "no-blend",
    )
    model, images, hole = Inpainter.from_pretrained(folder / "model"), originals(folder), masks.center(16)
    changed = {
        "ours": {},
        "unweighted": {"window": None},
        "l2": {"norm": "l2"},
        "no-prior": {"prior_weight": 0},
        "truncated": {"truncation": methods.TRUNCATION},
        "no-blend": {"blend": "overlay"},
    }
    rows = rows_of(folder)
    for method, change in changed.items():
        filled = model(images, hole, mode="paper", steps=3, seed=0, **change).images
        found = [float(row["psnr_hole"]) for row in rows if row["method"] == method]
        assert found == pytest.approx(metrics.psnr(filled, images, np.stack([hole] * 5)), abs=0.05), method


def test_starts_are_searches_with_the_next_seeds_and_each_rule_does_what_it_says(folder):
    run(
        folder, "--masks", "center", "--starts", 3, "--methods", "mean-of-starts", "best-of-starts", "average-of-starts"
    )
    model, images, hole = Inpainter.from_pretrained(folder / "model"), originals(folder), masks.center(16)
    holes = np.stack([hole] * 5)
    results = [model(images, hole, mode="paper", steps=3, seed=seed) for seed in range(3)]
    candidates = np.stack([result.images for result in results])  # (starts, pictures, H, W, 3)
    losses = np.stack([result.loss for result in results])
    generated = torch.stack([result._generated for result in results]).mean(0)
    expected = {
        "mean-of-starts": np.mean([metrics.psnr(c, images, holes) for c in candidates], axis=0),
        "best-of-starts": metrics.psnr(candidates[losses.argmin(axis=0), np.arange(5)], images, holes),
        "average-of-starts": metrics.psnr(compose(images, generated, holes, "poisson"), images, holes),
    }
    rows = rows_of(folder)
    for method, scores in expected.items():
        found = [float(row["psnr_hole"]) for row in rows if row["method"] == method]
        assert found == pytest.approx(scores, abs=0.05), method


def test_baselines_need_no_model_and_a_refusal_is_a_dash_with_its_reason(folder, capsys):
    names = ("tv", "telea", "nearest", "patchmatch")
    bank = ("--bank", folder / "svhn-tiny")
    assert run(folder, "--masks", "half", "random", "--methods", *names, *bank, model=False) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\| patchmatch \| [\d.*]+ \| - \| - \| - \|", printed)
    assert "- patchmatch, random: PatchMatch copies patches of 7x7 pixels" in printed
    rows = rows_of(folder)
    assert {row["method"] for row in rows if row["mask"] == "random"} == {"tv", "telea", "nearest"}
    assert all(row["context_loss"] == "" for row in rows)
    tv = baselines.get("tv")(originals(folder), masks.half(16))
    found = [float(row["psnr_hole"]) for row in rows if (row["method"], row["mask"]) == ("tv", "half")]
    assert found == pytest.approx(metrics.psnr(tv, originals(folder), np.stack([masks.half(16)] * 5)), abs=0.05)


def test_several_data_sets_get_tables_and_figures_of_their_own_beside_the_papers(folder, capsys):
    sets = ("celeba-tiny", "svhn-tiny")
    assert run(folder, "--masks", "half", "center", "--methods", "ours", "tv", data=sets) == 0
    printed = capsys.readouterr().out
    celeba, svhn = printed.split("### svhn-tiny")
    assert "| method | half | center | mean | above ours |" in celeba
    assert "| paper, ours | 13.7 | 19.4 | 16.5 |  |" in celeba
    assert "| paper, context encoder | 15.5 | 21.3 | 18.4 |  |" in celeba
    assert "| paper, context encoder | 19.1 | 22.3 | 20.7 |  |" in svhn
    assert {row["data"] for row in rows_of(folder)} == set(sets)
    for name in sets:
        for end in ("", "-errors", "-failures"):
            assert (folder / "out" / f"{name}-half{end}.png").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--methods", "ours"), "--model: give one per data set, that is 1; got 0"),
        (("--methods", "nearest"), "--bank: give one per data set"),
        (("--methods", "vae"), "--vae: give one per data set"),
        (("--methods", "tv", "--images", 0), "--images must be at least 1, got 0"),
        (("--methods", "tv", "--batch-size", 0), "--batch-size must be at least 1, got 0"),
    ],
)
def test_options_that_do_not_fit_are_named_in_a_sentence(folder, capsys, options, says):
    assert run(folder, *options, model=False) == 1
    assert says in capsys.readouterr().err


def test_the_vae_is_a_method_with_a_model_of_its_own(folder, capsys):
    torch.manual_seed(0)
    VAE(VAEConfig(image_size=16, latent_size=8, channels=(16, 8))).eval().save_pretrained(folder / "vae")
    both = ("--methods", "ours", "vae", "--masks", "center")
    assert run(folder, *both, "--vae", folder / "vae") == 0
    model, images = Inpainter.from_pretrained(folder / "vae"), originals(folder)
    filled = model(images, masks.center(16), mode="paper", steps=3, seed=0).images
    found = [float(row["psnr_hole"]) for row in rows_of(folder) if row["method"] == "vae"]
    assert found == pytest.approx(metrics.psnr(filled, images, np.stack([masks.center(16)] * 5)), abs=0.05)
    assert run(folder, *both, "--vae", folder / "model") == 1
    assert "family is 'dcgan', expected 'vae'" in capsys.readouterr().err


def test_a_conditional_generator_has_rows_of_its_own(folder, capsys):
    tiny_comod().save_pretrained(folder / "comod")
    rows = ("--methods", "comod-proposal", "comod", "average-of-comods", "--starts", 2, "--masks", "half")
    assert run(folder, *rows, "--comod", folder / "comod", model=False) == 0
    model = Inpainter.from_pretrained(folder / "comod")
    images = evaluate.load(folder / "celeba-tiny", model.size)
    hole = masks.half(model.size)
    for method, changes in (("comod-proposal", {"steps": 0}), ("comod", {})):
        found = [float(row["psnr_hole"]) for row in rows_of(folder) if row["method"] == method]
        filled = model(images, hole, **changes).images
        assert found == pytest.approx(metrics.psnr(filled, images, np.stack([hole] * 5)), abs=0.05)
    assert len(rows_of(folder)) == 3 * 5
    assert run(folder, *rows, "--comod", folder / "model", model=False) == 1
    assert "family is 'dcgan', expected 'comod'" in capsys.readouterr().err


def test_results_do_not_outlive_the_code_that_made_them(tmp_path, monkeypatch):
    (tmp_path / "hub").mkdir()
    (tmp_path / "search").mkdir()
    for name in ("settings.py", "search/loop.py", "hub/cards.py"):
        (tmp_path / name).write_text("import torch")
    code = lambda: methods.code_digest(("hub",), tmp_path)  # noqa: E731
    known = {code()}
    (tmp_path / "hub" / "cards.py").write_text("1")
    assert code() in known
    for name in ("search/loop.py", "settings.py", "search/new.py"):
        (tmp_path / name).write_text("import torch  # another")
        assert code() not in known
        known.add(code())
    monkeypatch.setattr(methods.importlib.metadata, "version", lambda package: "99.0")
    assert code() not in known


def test_digests_cover_everything_that_decides_a_filling():
    everything = {path.name for path in Path(inpainter.__file__).parent.iterdir()}
    assert not {"search", "settings.py", "blending", "models", "images.py"} & set(methods.NOT_OF_SEARCHES)
    assert {*methods.NOT_OF_SEARCHES, *methods.NOT_OF_BASELINES} - {"batch"} <= everything


def test_results_of_a_baseline_do_not_outlive_the_version_of_its_library(monkeypatch):
    before = methods.baseline_run("telea", {}, "").settings
    version = methods.importlib.metadata.version
    monkeypatch.setattr(methods.importlib.metadata, "version", lambda p: "99" if "opencv" in p else version(p))
    assert methods.baseline_run("telea", {}, "").settings != before


def test_one_start_is_not_several(folder, capsys):
    assert run(folder, "--methods", "best-of-starts", "--starts", 1) == 1
    assert "--starts must be at least 2, got 1" in capsys.readouterr().err


def test_data_sets_of_the_same_name_are_told_apart():
    assert request.set_names(["a/test.zip", "b/other.zip"]) == ["test", "other"]
    assert len(set(request.set_names(["a/test.zip", "b/test.zip"]))) == 2


def test_failures_are_the_lowest_scores_worst_first():
    assert figures.failures(np.array([5.0, 1, 9, 0, 3, 8, 7, 6, 4, 2])).tolist() == [3, 1, 9, 4, 8, 0]


def test_an_error_map_is_black_where_the_filling_is_right_and_grows_with_the_error(pictures):
    wrong = pictures.copy()
    wrong[:, 4] = np.where(pictures[:, 4] > 127, pictures[:, 4] - 64, pictures[:, 4] + 64)
    wrong[:, 8] = np.where(pictures[:, 8] > 127, 0, 255)
    shown = figures.error_map(wrong, pictures)
    assert (np.delete(shown, (4, 8), axis=1) == 0).all()
    assert (abs(shown[:, 4].astype(int) - 128) <= 1).all()
    assert (shown[:, 8] > 250).all()


def test_means_are_by_mask_and_method():
    rows = [
        dict(zip(report.COLUMNS, ("d", method, mask, 0, score, 0, 0, 0, 0, 0), strict=True))
        for method, mask, score in (("a", "half", 10), ("a", "half", 20), ("b", "half", 3), ("a", "center", 7))
    ]
    mean = report.means(rows)
    assert [mean[key]["psnr_hole"] for key in (("half", "a"), ("half", "b"), ("center", "a"))] == [15, 3, 7]
