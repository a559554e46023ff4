"""Both ways: a picture's filling averaged with that of its mirror image, flipped back."""

import numpy as np
import pytest
import torch

from inpainter import masks
from inpainter.images import to_tensor
from inpainter.mirror import mirrored
from inpainter.search import losses
from inpainter.settings import MODES


@pytest.fixture
def hole() -> np.ndarray:
    return masks.pattern(16, seed=1)  # not its own mirror image


def test_it_averages_the_generated_images_and_then_blends(tiny, pictures, hole):
    found = tiny(pictures, hole, seed=3, both_ways=True)
    holes = np.stack([hole] * len(pictures))
    both = [tiny(pictures, holes, seed=3), tiny(mirrored(pictures), mirrored(holes), seed=3)]
    plain, turned = both[0].generated, mirrored(both[1].generated)
    assert (plain != turned).any()
    assert np.abs(found.generated - np.mean([plain, turned], axis=0)).max() <= 1  # rounded once, not twice
    assert (found.images[~holes] == pictures[~holes]).all()
    assert (found.compose("overlay")[holes] == found.generated[holes]).all()


def test_the_losses_are_those_of_the_averaged_image(tiny, pictures, hole):
    found, plain = (tiny(pictures, hole, steps=5, both_ways=both) for both in (True, False))
    holes = torch.from_numpy(np.stack([hole] * 3))
    context = losses.context_loss(found._generated, to_tensor(found.pictures), losses.importance_weights(holes))
    prior = tiny.model.prior_loss(found._generated, torch.from_numpy(found.latents))
    np.testing.assert_allclose(found.context_loss, context, rtol=1e-4)
    np.testing.assert_allclose(found.prior_loss, prior, rtol=1e-4)
    assert (found.context_loss != plain.context_loss).all()


@pytest.mark.parametrize("mode", MODES)
def test_the_mirror_image_is_filled_with_the_mirrored_filling(tiny, pictures, hole, mode):
    holes = np.stack([hole] * len(pictures))
    settings = {"mode": mode, "steps": 10, "both_ways": True}
    found = tiny(pictures, holes, **settings)
    turned = tiny(mirrored(pictures), mirrored(holes), **settings)
    np.testing.assert_array_equal(mirrored(turned.images), found.images)


def test_empty_holes_stay_untouched_and_a_sample_is_that_of_the_model(tiny, pictures):
    holes = np.stack([np.zeros((16, 16), bool), np.ones((16, 16), bool), masks.half(16)])
    found, alone = (tiny(pictures, holes, steps=5, both_ways=both) for both in (True, False))
    np.testing.assert_array_equal(found.images[0], pictures[0])
    np.testing.assert_array_equal(found.images[1], alone.images[1])
    assert (found.images[2] != alone.images[2]).any()
    assert found.notes == alone.notes


def test_a_callback_sees_both_searches_upright(tiny, pictures):
    seen = []
    hole = masks.half(16)
    tiny(pictures, hole, steps=1, both_ways=True, callback=lambda step, progress: seen.append(progress.compose()))
    assert len(seen) == 4
    assert all((preview[:, ~hole] == pictures[:, ~hole]).all() for preview in seen)
