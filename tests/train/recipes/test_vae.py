"""The family of VAEs: its folder, its prior, its search, and its training."""

import json

import numpy as np
import pytest
import torch
from helpers import SHAPE, TINY, accelerator, assert_identical, state, tiny_vae
from safetensors.torch import load_file, save_file

from inpainter import Inpainter, ModelError
from inpainter.hub import cards
from inpainter.models import DCGAN, VAE, DCGANConfig, VAEConfig
from inpainter.search import search
from train import __main__
from train.data.loading import step_generator
from train.recipes import vae


@pytest.fixture
def folder(tmp_path):
    tiny_vae().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def train(archive, out, images: int, *more, command="vae") -> int:
    arguments = [command, "--data", archive, "--out", out, "--images", images, "--batch-size", 8, "--held-out", 8]
    return __main__.main([str(a) for a in (*arguments, *TINY, *more)])


def test_the_decoder_is_dcgans_generator():
    decoder, generator = VAE().state_dict(), DCGAN().generator.state_dict()
    assert {name: t.shape for name, t in decoder.items()} == {f"generator.{n}": t.shape for n, t in generator.items()}


def test_codes_are_standard_normal_and_follow_the_generator():
    z = VAE(VAEConfig(**SHAPE)).sample_latents(5000, torch.Generator().manual_seed(0))
    assert z.shape == (5000, 8)
    assert z.mean().item() == pytest.approx(0, abs=0.02)
    assert z.std().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(z, tiny_vae().sample_latents(5000, torch.Generator().manual_seed(0)))


def test_the_prior_is_the_negative_log_density_of_each_code():
    model = tiny_vae()
    z = model.sample_latents(5)
    expected = -torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    torch.testing.assert_close(model.prior_loss(model.generate(z), z), expected)


def test_a_folder_loads_by_its_family_and_strictly(folder):
    model = Inpainter.from_pretrained(folder, device="cpu").model
    assert isinstance(model, VAE)
    z = model.sample_latents(2)
    torch.testing.assert_close(model.generate(z), tiny_vae().generate(z), atol=0.02, rtol=0)  # float16 on disk
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"encoder.0.weight": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"unexpected.*encoder"):
        Inpainter.from_pretrained(folder)


@pytest.mark.parametrize("change", [{"family": "dcgan"}, {"latent_distribution": "uniform"}, {"image_size": 32}])
def test_the_configuration_of_another_family_or_shape_is_refused(change):
    with pytest.raises(ModelError, match="config"):
        VAEConfig(**SHAPE | change)
    assert DCGANConfig(**SHAPE).latent_distribution == "uniform"


@pytest.mark.parametrize(("family", "leaves"), [(VAE, True), (DCGAN, False)])
def test_gaussian_codes_are_not_clipped_and_uniform_ones_are(family, leaves):
    model = tiny_vae() if family is VAE else DCGAN(DCGANConfig(**SHAPE)).eval().requires_grad_(False)
    hole = torch.zeros(2, 16, 16, dtype=torch.bool)
    hole[:, 4:12, 4:12] = True
    start = torch.full((2, 8), 0.9 if family is DCGAN else 2.5)
    found = search(model, torch.ones(2, 3, 16, 16), hole, start, steps=5, learning_rate=0.1)
    assert bool((found.z.abs() > 1).any()) == leaves


def test_a_strong_prior_draws_codes_to_the_middle():
    hole = torch.zeros(1, 16, 16, dtype=torch.bool)
    hole[:, 4:12, 4:12] = True
    found = search(tiny_vae(), torch.zeros(1, 3, 16, 16), hole, torch.ones(1, 8), steps=60, prior_weight=1e3)
    assert found.z.abs().max() < 0.2


def test_the_cards_plain_torch_lines_make_the_models_images(folder, monkeypatch):
    text = cards.make_card(tiny_vae(), "tiny", "user/tiny", samples=False)
    assert "- gan\n" not in text
    code = text.split("```python\n")[2].partition("```")[0]
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repo, name: str(folder / name))
    names = {}
    torch.manual_seed(3)
    exec(code, names)
    torch.manual_seed(3)
    z = torch.randn(16, 8)
    assert names["images"].shape == (16, 3, 16, 16)
    model = Inpainter.from_pretrained(folder, device="cpu").model
    torch.testing.assert_close(names["G"](z), model.generate(z))


def test_the_losses_are_those_of_gaussians():
    draws = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 4, 8, generator=draws)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(vae.kl_divergence(mean, log_variance), expected)
    real, images = torch.rand(2, 4, 3, 8, 8, generator=draws)
    deviation = (real - images).square().mean().sqrt()
    likelihoods = [-normal(images, deviation * factor).log_prob(real).sum((1, 2, 3)).mean() for factor in (0.9, 1, 1.1)]
    torch.testing.assert_close(vae.reconstruction_loss(images, real), likelihoods[1])
    assert likelihoods[1] == min(likelihoods)


def test_training_lowers_the_bound():
    """Images of one brightness each: one number to encode, so much is to be gained."""
    trainer = vae.VAETrainer(tiny_vae().requires_grad_(), accelerator(), 2e-3, 0.9)
    bounds = []
    for step in range(60):
        random = step_generator(0, step)
        real = (torch.rand(32, 1, 1, 1, generator=random) * 2 - 1).expand(-1, 3, 16, 16)
        bounds.append(float(sum(trainer.train_step(real, random).values())))
    assert sum(bounds[-5:]) / 5 < bounds[0] - 300


def test_a_run_leaves_a_log_and_a_model_that_fills(archive, tmp_path):
    assert train(archive, tmp_path, 480) == 0
    record = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert np.isfinite([record["reconstruction_loss"], record["kl_loss"], record["diversity"]]).all()
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["family"] == "vae"
    assert config["training"]["images_seen"] == 480
    picture = np.full((16, 16, 3), 99, np.uint8)
    assert Inpainter.from_pretrained(tmp_path / "model")(picture, np.eye(16, dtype=bool), steps=2).images.any()


def test_resumed_equals_uninterrupted_and_another_family_is_refused(archive, tmp_path, capsys):
    train(archive, tmp_path / "whole", 64)
    train(archive, tmp_path / "parts", 40)
    assert train(archive, tmp_path / "parts", 64, "--resume") == 0
    assert_identical(state(tmp_path / "whole"), state(tmp_path / "parts"))
    assert train(archive, tmp_path / "parts", 72, "--resume", command="gan") == 1
    assert "checkpoint.pt was made with" in capsys.readouterr().err
