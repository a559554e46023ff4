import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpainter import Inpainter
from inpainter.models import DCGAN, DCGANConfig
from train import __main__, data, gan

TINY = DCGANConfig(image_size=16, latent_size=8, channels=(16, 8))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """A zip of 40 pictures of 16x16 pixels."""
    path = tmp_path_factory.mktemp("data") / "pictures.zip"
    draws = np.random.default_rng(0)
    folder = path.parent
    with zipfile.ZipFile(path, "w") as file:
        for index in range(40):
            Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / "p.png")
            file.write(folder / "p.png", f"{index:03d}.png")
    return path


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(gan, "DCGANConfig", lambda **changed: DCGANConfig(**{**vars(TINY), **changed}))


def train(archive, out, images: int, *more) -> int:
    arguments = ["gan", "--data", archive, "--out", out, "--images", images, "--batch-size", 8, "--held-out", 8, *more]
    return __main__.main([str(a) for a in arguments])


def test_a_folder_and_a_zip_load_alike_in_order_of_name(archive, tmp_path):
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "folder")
    images = data.load_images(archive, 16)
    assert images.shape == (40, 3, 16, 16)
    assert images.dtype == torch.uint8
    assert torch.equal(images, data.load_images(tmp_path / "folder", 16))


def test_broken_pictures_are_counted_and_named_not_fatal(archive, tmp_path, caplog):
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    (tmp_path / "007.png").write_text("not a picture")
    with caplog.at_level("WARNING"):
        assert len(data.load_images(tmp_path, 16)) == 39
    assert "1 unreadable" in caplog.text
    assert "007.png" in caplog.text


def test_what_holds_no_pictures_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("a")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04cut")
    cases = (("empty", "no readable image"), ("text", "no readable image"), ("cut.zip", "zip"), ("none", "no such"))
    for name, says in cases:
        with pytest.raises(ValueError, match=says):
            data.load_images(tmp_path / name, 16)


def test_every_image_is_seen_once_an_epoch_in_an_order_the_seed_decides():
    epoch = torch.cat([gan.batch_indices(step, 8, 40, seed=1) for step in range(5)])
    assert sorted(epoch.tolist()) == list(range(40))
    following = torch.cat([gan.batch_indices(step, 8, 40, seed=1) for step in range(5, 10)])
    assert epoch.tolist() != following.tolist()
    assert torch.equal(gan.batch_indices(3, 8, 40, seed=1), gan.batch_indices(3, 8, 40, seed=1))


def test_flips_mirror_about_half_of_the_images_and_can_be_off():
    images = torch.arange(16, dtype=torch.uint8).repeat(100, 3, 16, 1)
    flipped = gan.prepare(images, True, torch.Generator().manual_seed(0))
    mirrored = (flipped[:, 0, 0, 0] > flipped[:, 0, 0, 15]).float().mean()
    assert 0.3 < mirrored < 0.7
    assert torch.equal(gan.prepare(images, False, torch.Generator()), images.float() / 127.5 - 1)


def test_a_run_leaves_a_checkpoint_log_samples_and_a_model_that_fills(archive, tmp_path):
    assert train(archive, tmp_path, 32) == 0
    record = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["step"] == 4
    assert record["images"] == 32
    assert np.isfinite([record["d_loss"], record["g_loss"]]).all()
    assert (tmp_path / "samples" / "0000004.png").exists()
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["training"]["images_seen"] == 32
    assert config["training"]["training_images"] == 32  # 40, less 8 held out
    picture = np.full((16, 16, 3), 99, np.uint8)
    assert Inpainter.from_pretrained(tmp_path / "model")(picture, np.eye(16, dtype=bool), steps=2).images.any()


def test_resumed_equals_uninterrupted(archive, tmp_path):
    train(archive, tmp_path / "whole", 96)
    train(archive, tmp_path / "parts", 40)
    assert train(archive, tmp_path / "parts", 96, "--resume") == 0
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 12
    assert torch.equal(whole["random"], parts["random"])
    for part in ("model", "average"):
        for name, tensor in whole[part].items():
            torch.testing.assert_close(tensor, parts[part][name], atol=1e-6, rtol=1e-5, msg=name)


def test_an_existing_run_is_not_overwritten_by_accident(archive, tmp_path, capsys):
    train(archive, tmp_path, 16)
    assert train(archive, tmp_path, 16) == 1
    assert "--resume" in capsys.readouterr().err


def test_a_kill_while_writing_a_checkpoint_leaves_the_previous_one(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    gan.save_checkpoint(path, {"step": 1})

    def die(state, file):
        file.write(b"half a checkpoint")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(KeyboardInterrupt):
        gan.save_checkpoint(path, {"step": 2})
    assert torch.load(path, weights_only=True) == {"step": 1}


def test_a_step_trains_each_network_on_its_own_loss(archive):
    """D learns to tell real from fake; G's weights move, and G's step leaves D alone."""
    torch.manual_seed(0)
    trainer = gan.Trainer(gan.initialise(DCGAN(TINY), 0), 2e-3, 0.9, 0, torch.device("cpu"))
    real = gan.prepare(data.load_images(archive, 16), False, torch.Generator())
    before = [p.clone() for p in trainer.model.generator.parameters()]
    history = [trainer.train_step(real) for _ in range(30)]
    assert history[-1]["d_accuracy"] > 0.6
    assert any((a != b).any() for a, b in zip(before, trainer.model.generator.parameters(), strict=True))
    assert all(p.requires_grad for p in trainer.model.discriminator.parameters())


def test_the_averaged_model_follows_g_slowly_and_measures_its_own_statistics(archive):
    trainer = gan.Trainer(gan.initialise(DCGAN(TINY), 0), 2e-3, 0.999, 0, torch.device("cpu"))
    real = gan.prepare(data.load_images(archive, 16), False, torch.Generator())
    for _ in range(20):
        trainer.train_step(real)
    model = trainer.averaged_model()
    assert not model.training
    average, latest = model.generator[0].weight, trainer.model.generator[0].weight
    assert (average - latest).abs().max() > 0
    hidden = model.generator[:3](model.sample_latents(2000))  # after the first batch norm
    assert hidden.mean().abs() < 0.1
    assert hidden.std().item() == pytest.approx(1, abs=0.2)


def test_data_smaller_than_a_batch_is_refused(archive, tmp_path, capsys):
    assert train(archive, tmp_path, 16, "--batch-size", 64) == 1
    assert "fewer than one batch" in capsys.readouterr().err
