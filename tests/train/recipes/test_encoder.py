"""The encoder: what it looks at, how it travels with its model, and what training it takes."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from helpers import TINY
from hub_server import READ_TOKEN, WRITE_TOKEN, running_hub

from inpainter import Inpainter, ModelError, hub, masks
from inpainter import images as img
from inpainter.models import CoMod, CoModConfig, Encoder, EncoderConfig
from train.__main__ import main as train
from train.data import holes
from train.recipes.encoder import EncoderTrainer, errors


def tiny_encoder(**changes) -> Encoder:
    torch.manual_seed(0)
    config = {"image_size": 16, "latent_size": 8, "channels": (8, 16), **changes}
    return Encoder(EncoderConfig(**config)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def with_encoder() -> Inpainter:
    return Inpainter(tiny_dcgan(), "cpu", tiny_encoder())


@pytest.fixture
def folder(tmp_path):
    """A model folder with an encoder that was made for it."""
    hub.save(tiny_dcgan(), tmp_path / "model")
    config = {"training": {"generator": hub.checksum(tmp_path / "model")}}
    hub.save(hub.load(tmp_path / "model"), tmp_path / "model", encoder=tiny_encoder(**config))
    return tmp_path / "model"


# What it proposes


def test_the_proposal_is_within_the_bound_and_does_not_see_what_is_under_the_hole(pictures):
    hole = torch.from_numpy(masks.center(16)).expand(3, -1, -1)
    encoder = tiny_encoder()
    encoder.layers[-1].weight.data *= 100
    z = encoder(img.to_tensor(pictures), hole)
    assert z.shape == (3, 8)
    assert z.abs().max() <= 1
    hidden = np.where(masks.center(16)[..., None], 7, pictures)
    assert torch.equal(encoder(img.to_tensor(hidden), hole), z)
    assert not torch.equal(encoder(img.to_tensor(pictures), ~hole), z)


def test_without_a_bound_the_proposal_is_free(pictures):
    encoder = tiny_encoder(latent_bound=None)
    encoder.layers[-1].weight.data *= 100
    assert encoder(img.to_tensor(pictures), torch.zeros(3, 16, 16, dtype=torch.bool)).abs().max() > 1


# Where searches start


def proposals(model: Inpainter, pictures, hole) -> torch.Tensor:
    return model.encoder(img.to_tensor(pictures), torch.from_numpy(hole).expand(3, -1, -1))


def test_a_fast_search_starts_from_the_proposal(with_encoder, pictures):
    hole = masks.center(16)
    start = with_encoder(pictures, hole, steps=0, mode="fast")
    torch.testing.assert_close(torch.from_numpy(start.latents), proposals(with_encoder, pictures, hole))
    assert (with_encoder(pictures, hole, mode="fast", steps=30).context_loss < start.context_loss).all()


def test_a_proposal_is_moved_into_the_searched_share_of_the_box(with_encoder, pictures):
    free, held = (
        with_encoder(pictures, masks.center(16), steps=0, mode="fast", truncation=t).latents for t in (1, 0.01)
    )
    assert (np.abs(free) > 0.01).any()
    assert held == pytest.approx(free.clip(-0.01, 0.01))


def test_the_anchor_holds_a_search_near_the_proposal_at_the_price_of_its_loss(with_encoder, pictures):
    hole = masks.center(16)
    proposal = with_encoder(pictures, hole, mode="fast", steps=0).latents
    free, held, fixed = (with_encoder(pictures, hole, mode="fast", steps=60, anchor=a) for a in (0, 5, 1e4))
    moved = [np.linalg.norm(result.latents - proposal, axis=1) for result in (free, held, fixed)]
    assert (moved[0] > moved[1]).all() and (moved[1] > moved[2]).all()
    assert free.context_loss.sum() < held.context_loss.sum() < fixed.context_loss.sum()
    elsewhere = [with_encoder(pictures, hole, mode="fast", steps=20, seed=1, anchor=a).latents for a in (0, 1e4)]
    assert (elsewhere[0] == elsewhere[1]).all()  # a random code is held by nothing


def test_other_seeds_and_further_starts_do_not(with_encoder, tiny, pictures):
    hole = masks.center(16)
    alone = tiny(pictures, hole, mode="fast", steps=0, seed=[0, 1, 2])
    mixed = with_encoder(pictures, hole, mode="fast", steps=0, seed=[0, 1, 2])
    assert (mixed.latents[1:] == alone.latents[1:]).all()
    assert (mixed.latents[0] != alone.latents[0]).any()
    best = tiny(pictures, hole, mode="fast", steps=0)
    either = with_encoder(pictures, hole, mode="fast", steps=0, starts=2)
    assert (either.context_loss <= best.context_loss + 1e-4).all()


def test_the_papers_search_has_no_use_for_it(with_encoder, tiny, pictures):
    with_it, without = (m(pictures, masks.half(16), mode="paper", steps=3) for m in (with_encoder, tiny))
    assert (with_it.images == without.images).all()


def test_with_an_encoder_too_a_batch_equals_singles_and_hidden_pixels_change_nothing(with_encoder, pictures):
    hole = masks.pattern(16)
    settings = {"mode": "fast", "steps": 20, "seed": [0, 5, 0]}
    batch = with_encoder(pictures, hole, **settings)
    for i, seed in enumerate(settings["seed"]):
        single = with_encoder(pictures[i], hole, mode="fast", steps=20, seed=seed)
        np.testing.assert_allclose(batch.latents[i], single.latents[0], atol=1e-3)
    changed = np.where(hole[..., None], 255 - pictures, pictures)
    assert (with_encoder(changed, hole, **settings).latents == batch.latents).all()


# Its folder


def test_a_saved_encoder_comes_back_with_its_model(folder, pictures):
    model = Inpainter.from_pretrained(folder, device="cpu")
    hole = torch.from_numpy(masks.half(16)).expand(3, -1, -1)
    wanted = tiny_encoder()(img.to_tensor(pictures), hole)
    torch.testing.assert_close(model.encoder(img.to_tensor(pictures), hole), wanted, atol=1e-2, rtol=0)  # float16
    model.save_pretrained(folder.parent / "again")
    weights = "encoder/model.safetensors"
    assert (folder.parent / "again" / weights).read_bytes() == (folder / weights).read_bytes()


def test_a_model_without_an_encoder_has_none(tmp_path):
    hub.save(tiny_dcgan(), tmp_path)
    assert Inpainter.from_pretrained(tmp_path, device="cpu").encoder is None


def test_an_encoder_for_another_shape_of_model_is_refused(folder):
    tiny_encoder(latent_size=7)._save_pretrained(folder / "encoder")
    with pytest.raises(ModelError, match="latent_size 7"):
        Inpainter.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": []}, "channels"),
        ({"channels": [8]}, "image_size is 16"),
        ({"latent_bound": 0}, "latent_bound"),
        ({"latent_size": "8"}, "latent_size"),
        ({"family": "dcgan"}, "expected 'encoder'"),
    ],
)
def test_an_encoder_that_cannot_be_built_is_one_sentence(folder, changes, message):
    path = folder / "encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelError, match=message):
        Inpainter.from_pretrained(folder, device="cpu")


# On the Hub


def test_an_encoder_is_published_and_pulled_with_its_model(monkeypatch, tmp_path, folder):
    with running_hub(monkeypatch, tmp_path) as server:
        monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
        hub.push(folder, "user/tiny")
        published = server.repos["models/user/tiny"].files()
        assert {"encoder/config.json", "encoder/model.safetensors"} <= published.keys()
        monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
        assert Inpainter.from_pretrained("user/tiny", device="cpu").encoder is not None
        assert "## Encoder" in published["README.md"].decode()
        pulled = hub.pull("user/tiny", tmp_path / "pulled")
        assert (pulled / "encoder" / "model.safetensors").read_bytes() == published["encoder/model.safetensors"]


def test_an_encoder_of_other_weights_is_refused(folder, tmp_path):
    hub.save(tiny_dcgan(seed=1), tmp_path / "other")
    shutil.copytree(folder / "encoder", tmp_path / "other" / "encoder")
    for use in (hub.check, Inpainter.from_pretrained):
        with pytest.raises(ModelError, match="encoder: the encoder was trained for other weights"):
            use(tmp_path / "other")


def test_a_model_saved_over_another_keeps_nothing_of_it(folder):
    (folder / "generator.onnx").touch()
    (folder / "notes.txt").touch()
    hub.save(tiny_dcgan(seed=1), folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "samples.png", "notes.txt"}
    assert Inpainter.from_pretrained(folder, device="cpu").encoder is None


def test_a_pull_of_a_model_without_an_encoder_removes_the_one_that_was_there(monkeypatch, tmp_path, folder):
    with running_hub(monkeypatch, tmp_path) as server:
        first = server.publish("user/tiny", folder).head()
        hub.pull("user/tiny", tmp_path / "here")
        hub.save(tiny_dcgan(seed=1), tmp_path / "plain")
        server.publish("user/tiny", tmp_path / "plain")
        (tmp_path / "here" / "notes.txt").touch()
        hub.pull("user/tiny", tmp_path / "here")
        assert not (tmp_path / "here" / "encoder").exists() and (tmp_path / "here" / "notes.txt").exists()
        hub.pull("user/tiny", tmp_path / "here", revision=first)
        assert Inpainter.from_pretrained(tmp_path / "here", device="cpu").encoder is not None


# Training


def test_training_attaches_an_encoder_that_the_model_then_starts_from(archive, tmp_path, pictures):
    hub.save(tiny_dcgan(), tmp_path / "model")
    arguments = ["encoder", "--model", tmp_path / "model", "--data", archive, "--out", tmp_path / "run"]
    arguments += ["--images", 640, "--batch-size", 16, "--held-out", 8, "--channels", 8, 16, "--attach"]
    assert train([str(argument) for argument in arguments]) == 0
    (record,) = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert np.isfinite([record["image_loss"], record["rim_loss"], record["code_loss"], record["held_out_loss"]]).all()
    hub.check(tmp_path / "model")
    model = Inpainter.from_pretrained(tmp_path / "model", device="cpu")
    assert model.encoder.config.training["images_seen"] == 640
    assert model.encoder.config.training["generator"] == hub.checksum(tmp_path / "model")


def test_an_interrupted_training_attaches_nothing(archive, tmp_path, monkeypatch):
    hub.save(tiny_dcgan(), tmp_path / "model")
    step = EncoderTrainer.train_step

    def interrupted(self, real, random):
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, real, random)

    arguments = ["encoder", "--model", tmp_path / "model", "--data", archive, "--out", tmp_path / "run"]
    arguments += ["--images", 64, "--batch-size", 8, "--held-out", 8, "--channels", 8, 16, "--attach"]
    with monkeypatch.context() as patch:
        patch.setattr(EncoderTrainer, "train_step", interrupted)
        assert train([str(argument) for argument in arguments]) == 0
    assert Inpainter.from_pretrained(tmp_path / "model", device="cpu").encoder is None
    assert train([str(argument) for argument in [*arguments, "--resume"]]) == 0
    assert Inpainter.from_pretrained(tmp_path / "model", device="cpu").encoder is not None


def test_a_generator_that_is_trained_further_loses_the_encoder_attached_to_it(archive, tmp_path):
    def gan(images: int, *more: str) -> None:
        arguments = ["gan", "--data", archive, "--out", tmp_path, "--images", images, "--batch-size", 8]
        assert train([str(argument) for argument in (*arguments, "--held-out", 8, *TINY, *more)]) == 0

    gan(16)
    arguments = ["encoder", "--model", tmp_path / "model", "--data", archive, "--out", tmp_path / "run"]
    arguments += ["--images", 16, "--batch-size", 8, "--held-out", 8, "--channels", 8, 16, "--attach"]
    assert train([str(argument) for argument in arguments]) == 0
    assert Inpainter.from_pretrained(tmp_path / "model", device="cpu").encoder is not None
    gan(32, "--resume")
    assert Inpainter.from_pretrained(tmp_path / "model", device="cpu").encoder is None


def test_training_brings_the_error_down(archive, tmp_path):
    hub.save(tiny_dcgan(), tmp_path / "model")

    def trained(images: int) -> float:
        arguments = ["encoder", "--model", tmp_path / "model", "--data", archive, "--out", tmp_path / str(images)]
        arguments += ["--images", images, "--batch-size", 16, "--held-out", 8, "--channels", 8, 16]
        assert train([str(argument) for argument in arguments]) == 0
        lines = (tmp_path / str(images) / "metrics.jsonl").read_text().splitlines()
        return json.loads(lines[-1])["code_loss"]

    assert trained(3200) < 0.9 * trained(16)


def test_an_encoder_is_not_resumed_for_another_generator(archive, tmp_path, capsys):
    arguments = ["encoder", "--model", tmp_path / "model", "--data", archive, "--out", tmp_path / "run"]
    arguments += ["--images", 32, "--batch-size", 16, "--held-out", 8, "--channels", 8, 16, "--resume"]
    for seed, code in ((0, 0), (1, 1)):
        hub.save(tiny_dcgan(seed), tmp_path / "model")
        assert train([str(argument) for argument in arguments]) == code
    assert "was made with generator" in capsys.readouterr().err


def test_errors_are_zero_for_equal_images_and_count_the_rim(pictures):
    intact = img.to_tensor(pictures)
    hole = torch.from_numpy(masks.center(16)).expand(3, -1, -1)
    assert errors(intact, intact, hole) == (0, 0)
    whole, rim = errors(torch.where(hole[:, None], intact, intact + 0.5), intact, hole)
    assert rim == pytest.approx(0.5, abs=1e-6)
    assert whole == pytest.approx(0.5 * (~masks.center(16)).mean(), abs=1e-6)


@pytest.mark.parametrize("kind", holes.DRAWN)
def test_holes_to_train_on_leave_something_and_differ(kind):
    drawn = holes.draw(20, 32, torch.Generator().manual_seed(0), (kind,))
    assert drawn.shape == (20, 32, 32) and drawn.dtype == torch.bool
    assert drawn.any((1, 2)).all() and not drawn.all(2).all(1).any()
    if kind != "center":
        assert len(drawn.flatten(1).unique(dim=0)) > 3
    assert torch.equal(holes.draw(20, 32, torch.Generator().manual_seed(0), (kind,)), drawn)


def test_a_model_that_sees_the_picture_gets_no_encoder(archive, tmp_path, capsys):
    widths = {f"{part}_channels": (4, 4, 4, 4) for part in ("encoder", "decoder", "discriminator")}
    CoMod(CoModConfig(image_size=32, latent_size=4, style_size=4, **widths)).save_pretrained(tmp_path / "model")
    arguments = ["encoder", "--model", tmp_path / "model", "--data", archive, "--out", tmp_path / "out"]
    assert train([*map(str, arguments), "--images", "4", "--batch-size", "4", "--held-out", "4"]) == 1
    assert "needs no encoder" in capsys.readouterr().err
