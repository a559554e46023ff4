"""A generator that sees the picture, filled through the same pipeline as any other."""

import copy

import numpy as np
import pytest
import torch
from helpers import EVERYTHING, tiny_comod

from inpainter import Inpainter, masks
from inpainter.models import CoMod, CoModConfig
from inpainter.search import fast


@pytest.fixture(scope="module", params=["plain", "everything"])
def model(request) -> Inpainter:
    if request.param == "everything":
        return Inpainter(tiny_comod(**EVERYTHING), device="cpu")
    torch.manual_seed(0)
    widths = {f"{part}_channels": (8, 8, 8, 8) for part in ("encoder", "decoder", "discriminator")}
    return Inpainter(CoMod(CoModConfig(image_size=32, latent_size=8, style_size=8, **widths)), device="cpu")


@pytest.fixture
def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


HOLE = masks.pattern(32)


@pytest.mark.parametrize("blend", ["seamless", "poisson", "overlay"])
@pytest.mark.parametrize("mode", ["fast", "paper"])
def test_known_pixels_come_back_and_hidden_ones_change_nothing(model, photos, mode, blend):
    hidden = np.where(HOLE[..., None], 255 - photos, photos)
    one, other = (model(some, HOLE, mode=mode, steps=4, blend=blend) for some in (photos, hidden))
    assert (one.images[:, ~HOLE] == photos[:, ~HOLE]).all()
    assert (one.images[:, HOLE] != photos[:, HOLE]).any()
    for name in ("images", "generated", "latents", "context_loss", "prior_loss"):
        assert (getattr(one, name) == getattr(other, name)).all(), name


def test_without_steps_it_is_one_forward_pass_from_zero_or_a_drawn_code(model, photos):
    first, second = (model(photos, HOLE, steps=0, refine=0, seed=seed) for seed in (0, 5))
    assert (first.latents == 0).all()
    drawn = model.model.sample_latents(1, torch.Generator().manual_seed(5))
    assert (second.latents == drawn.numpy()).all()
    assert (first.generated != second.generated).any()


def test_without_steps_each_network_runs_once(model, photos):
    runs = []
    parts = (model.model.generator.encoder, model.model.generator.colour[0], model.model.discriminator)
    hooks = [part.register_forward_hook(lambda part, *_: runs.append(part)) for part in parts]
    model(photos, HOLE, steps=0)
    for hook in hooks:
        hook.remove()
    assert runs == list(parts)


def test_a_search_and_its_image_need_one_run_of_the_encoder(model, photos):
    runs = []
    hook = model.model.generator.encoder.register_forward_hook(lambda *_: runs.append(1))
    model(photos, HOLE, steps=4)
    hook.remove()
    assert len(runs) == 1


def test_it_takes_few_steps_by_default_and_lowers_the_loss(model, photos):
    seen = []
    start = model(photos, HOLE, steps=0)
    end = model(photos, HOLE, refine=0, callback=lambda step, progress: seen.append(step))
    assert seen == list(range(fast.CONDITIONAL_STEPS + 1))
    assert (end.loss < start.loss).all()


def test_refinement_moves_the_style_of_each_size_and_lowers_the_context_loss(model, photos):
    plain, refined = (model(photos, HOLE, steps=2, refine=steps) for steps in (0, 10))
    assert refined.refined.all() and not plain.refined.any()
    assert (refined.context_loss < plain.context_loss).all()
    assert (refined.latents == plain.latents).all()
    single = model(photos[1], HOLE, steps=2, refine=10)
    assert np.abs(single.images[0].astype(int) - refined.images[1]).max() <= 2


def test_the_callback_ends_the_search(model, photos):
    assert model(photos, HOLE, callback=lambda step, progress: step == 2).steps == 2


def test_a_batch_of_n_equals_n_singles(model, photos):
    holes = np.stack([masks.center(32), masks.half(32), masks.random(32)])
    batch = model(photos, holes, starts=2, seed=(0, 1, 2))
    for i in range(3):
        single = model(photos[i], holes[i], starts=2, seed=i)
        assert np.abs(batch.images[i].astype(int) - single.images[0]).max() <= 2


def test_more_starts_never_end_worse(model, photos):
    one, many = (model(photos, HOLE, steps=3, starts=starts, refine=0) for starts in (1, 4))
    assert (many.loss <= one.loss + 0.5).all()  # chosen by losses in bfloat16


def test_empty_full_and_ordinary_holes_share_a_batch(model, photos):
    holes = np.stack([np.zeros((32, 32), bool), HOLE, np.ones((32, 32), bool)])
    result = model(photos, holes)
    assert (result.images[0] == photos[0]).all()
    assert (result.images[2] == result.generated[2]).all()
    assert (result.generated[2] != model(photos[2], holes[2], seed=1).generated[0]).any()


def test_both_ways_and_composing_work_on_it(model, photos):
    result = model(photos, HOLE, steps=2, both_ways=True, blend="overlay")
    assert (result.compose("none") == result.generated).all()
    assert (result.images[:, HOLE] == result.generated[:, HOLE]).all()


def test_a_model_that_sees_the_hole_blends_seamlessly_unless_told_otherwise(model, photos, tiny, pictures):
    result = model(photos, HOLE, steps=1)
    assert result.settings.blend == "seamless" and (result.images == result.compose("seamless")).all()
    assert model(photos, HOLE, steps=1, blend="poisson").settings.blend == "poisson"
    assert tiny(pictures, masks.center(16), steps=1).settings.blend == "poisson"


def test_a_model_can_still_search_after_it_was_saved_or_sampled(photos, tmp_path):
    torch.manual_seed(0)
    widths = {f"{part}_channels": (8, 8, 8, 8) for part in ("encoder", "decoder", "discriminator")}
    model = Inpainter(CoMod(CoModConfig(image_size=32, latent_size=8, style_size=8, **widths)), device="cpu")
    never_saved = Inpainter(copy.deepcopy(model.model), device="cpu")
    model.save_pretrained(tmp_path / "model")  # draws its samples in inference mode
    one, other = (each(photos, HOLE, steps=2, precision="float32") for each in (model, never_saved))
    assert (one.images == other.images).all()
