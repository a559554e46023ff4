"""Filling a picture and its mirror image: the mean of the two."""

import numpy as np
import pytest

from inpainter import fill_both_ways, masks
from inpainter.search.mirror import mirrored
from inpainter.settings import MODES


@pytest.fixture
def hole() -> np.ndarray:
    return masks.pattern(16, seed=1)  # not its own mirror image


def test_it_is_the_mean_of_what_the_model_makes_of_both(tiny, pictures, hole):
    found = fill_both_ways(tiny, pictures, hole, seed=3)
    holes = np.stack([hole] * len(pictures))
    both = [tiny(pictures, holes, seed=3), tiny(mirrored(pictures), mirrored(holes), seed=3)]
    plain, turned = both[0].generated, mirrored(both[1].generated)
    assert (plain != turned).any()
    assert np.abs(found.generated - np.mean([plain, turned], axis=0)).max() <= 1  # rounded once, not twice
    assert (found.images[~holes] == pictures[~holes]).all()
    assert (found.compose("overlay")[holes] == found.generated[holes]).all()


@pytest.mark.parametrize("mode", MODES)
def test_the_mirror_image_is_filled_with_the_mirrored_filling(tiny, pictures, hole, mode):
    holes = np.stack([hole] * len(pictures))
    found = fill_both_ways(tiny, pictures, holes, mode=mode, steps=10)
    turned = fill_both_ways(tiny, mirrored(pictures), mirrored(holes), mode=mode, steps=10)
    np.testing.assert_array_equal(mirrored(turned.images), found.images)


def test_empty_holes_stay_untouched_and_a_sample_is_that_of_the_model(tiny, pictures):
    holes = np.stack([np.zeros((16, 16), bool), np.ones((16, 16), bool), masks.half(16)])
    found, alone = (fill(pictures, holes, steps=5) for fill in (lambda *a, **k: fill_both_ways(tiny, *a, **k), tiny))
    np.testing.assert_array_equal(found.images[0], pictures[0])
    np.testing.assert_array_equal(found.images[1], alone.images[1])
    assert (found.images[2] != alone.images[2]).any()
    assert found.notes == alone.notes
