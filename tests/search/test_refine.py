"""Refinement: what it improves, and what it must leave alone."""

import json

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from PIL import Image

from inpainter import Inpainter, __main__, masks
from inpainter.models import DCGAN, VAE, DCGANConfig, LatentModel, ModelError, VAEConfig
from inpainter.search import losses
from inpainter.search.refine import STEPS, refine, split

HOLE = masks.center(16)


@pytest.fixture
def found():
    """A tiny model, three pictures and holes as the library's functions take them, and codes."""
    model = tiny_dcgan()
    draws = torch.Generator().manual_seed(0)
    pictures = torch.rand(3, 3, 16, 16, generator=draws) * 2 - 1
    return model, pictures, torch.from_numpy(np.stack([HOLE] * 3)), model.sample_latents(3, draws)


def context(found, images):
    _, pictures, hole, _ = found
    return losses.context_loss(images, pictures, losses.importance_weights(hole))


def test_no_steps_are_the_generators_own_images(found):
    model, *_, z = found
    assert torch.allclose(refine(*found, steps=0), model.generate(z), atol=1e-5)


def test_the_context_loss_of_every_picture_falls(found):
    before, after = (context(found, refine(*found, steps=steps)) for steps in (0, 20))
    assert (after < 0.95 * before).all()


def test_the_model_is_not_changed(found):
    model = found[0]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    refine(*found, steps=3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_picture_is_refined_the_same_alone_and_in_a_batch(found):
    model, pictures, hole, z = found
    together = refine(*found, steps=5)
    alone = [refine(model, pictures[[i]], hole[[i]], z[[i]], steps=5) for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=0.02)


def test_what_no_known_pixel_tells_of_stays_as_the_search_left_it():
    torch.manual_seed(0)
    model = DCGAN(DCGANConfig(image_size=32, latent_size=8, channels=(16, 8, 8))).eval().requires_grad_(False)
    z, pictures = model.sample_latents(1), torch.rand(1, 3, 32, 32)
    hole = torch.ones(1, 32, 32, dtype=torch.bool)
    hole[:, :, :4] = False
    before, after = (refine(model, pictures, hole, z, steps=steps) for steps in (0, 20))
    assert torch.equal(after[..., 24:], before[..., 24:])
    assert not torch.equal(after[..., :8], before[..., :8])


def test_a_vae_is_refined_too(found):
    torch.manual_seed(0)
    model = VAE(VAEConfig(image_size=16, latent_size=8, channels=(16, 8))).eval().requires_grad_(False)
    before, after = (context(found, refine(model, *found[1:], steps=steps)) for steps in (0, 20))
    assert (after < before).all()


def test_a_generator_that_is_no_sequence_of_layers_is_refused():
    with pytest.raises(ModelError, match="refine: the generator of a LatentModel is not a sequence"):
        split(LatentModel())


@pytest.mark.parametrize("mode", ["fast", "paper"])
def test_a_refined_result_agrees_better_with_what_is_left_and_says_so(tiny, pictures, mode):
    plain = tiny(pictures, HOLE, mode=mode, steps=3, refine=0)
    refined = tiny(pictures, HOLE, mode=mode, steps=3, refine=10)
    assert [r.refined.all() for r in (plain, refined)] == [False, True]
    assert (refined.latents == plain.latents).all()
    assert (refined.context_loss < plain.context_loss).all()
    assert (refined.generated != plain.generated).any()
    assert (refined.compose("none") == refined.generated).all()


def test_fast_searches_are_refined_unless_they_are_stopped_or_take_no_steps(tiny, pictures):
    usual = tiny(pictures, HOLE, steps=3)
    assert usual.settings.refine == STEPS and usual.refined.all()
    for settings in (
        {"mode": "paper", "steps": 3},
        {"steps": 0},
        {"steps": 9, "callback": lambda step, _: step == 3},
        {"steps": 9, "refine": 5, "callback": lambda step, _: step == 3},
    ):
        assert not tiny(pictures, HOLE, **settings).refined.any()


def test_a_stopped_search_leaves_the_refinement_of_the_others(tiny, pictures):
    def stop_the_second(step, progress):
        return step == 2 and 1 in progress.pictures

    result = tiny(pictures, HOLE, steps=5, batch_size=1, callback=stop_the_second)
    assert result.refined.tolist() == [True, False, True]
    assert (result.images[[0, 2]] == tiny(pictures, HOLE, steps=5).images[[0, 2]]).all()


def test_known_pixels_come_back_and_hidden_ones_do_not_matter(tiny, pictures):
    hidden = np.where(HOLE[..., None], 255 - pictures, pictures)
    one, other = (tiny(some, HOLE, steps=3, refine=5).images for some in (pictures, hidden))
    assert (one[:, ~HOLE] == pictures[:, ~HOLE]).all()
    assert (one == other).all()


def test_what_is_not_searched_is_not_refined(tiny, pictures):
    holes = np.stack([np.zeros_like(HOLE), HOLE, np.ones_like(HOLE)])
    plain, refined = (tiny(pictures, holes, steps=3, refine=steps) for steps in (0, 5))
    assert (refined.generated[[0, 2]] == plain.generated[[0, 2]]).all()
    assert (refined.generated[1] != plain.generated[1]).any()
    assert refined.refined.tolist() == [False, True, False]


@pytest.mark.parametrize("steps", [-1, 1.5, True])
def test_refine_is_a_whole_number(tiny, pictures, steps):
    with pytest.raises(ValueError, match="refine must be a whole number from 0 to 1000"):
        tiny(pictures, HOLE, refine=steps)


def test_the_command_line_refines(tmp_path, pictures, capsys):
    tiny_dcgan().save_pretrained(tmp_path / "model")
    Image.fromarray(pictures[0]).save(tmp_path / "photo.png")
    options = ("--mask", "center", "--model", tmp_path / "model", "--steps", 3, "--refine", 4, "--json")
    assert __main__.main([str(a) for a in (tmp_path / "photo.png", *options, "-o", tmp_path / "filled.png")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["refine"], record["refined"]) == (4, True)
    expected = Inpainter.from_pretrained(tmp_path / "model")(pictures[0], HOLE, steps=3, refine=4).images[0]
    assert (np.asarray(Image.open(tmp_path / "filled.png")) == expected).all()
