"""Properties of masks, pictures, blending and settings, on examples that hypothesis draws.

A few hundred examples in the suite; `--hypothesis-profile=nightly` takes 10,000 of each.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inpainter import Settings, blending, masks
from inpainter import images as img
from inpainter.search import losses

sides = st.integers(8, 40)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def scenes(draw, least: int = 8, most: int = 40):
    """A random picture (H, W, 3), a hole of its size, and a generator for more."""
    height, width = draw(st.integers(least, most)), draw(st.integers(least, most))
    random = np.random.default_rng(draw(seeds))
    hole = draw(arrays.arrays(bool, (height, width)))
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8), hole, random


@given(sides, st.floats(0, 1), seeds)
def test_masks_miss_the_share_that_was_asked_for(size, share, seed):
    for mask in (masks.random(size, share, seed), masks.pattern(size, share, seed)):
        assert abs(mask.sum() - share * size**2) <= 0.5 + 1e-9  # half a pixel is rounded either way
        assert mask.shape == (size, size)


@given(scenes(), st.sampled_from([8, 16, 32]))
def test_what_is_under_the_hole_reaches_no_known_pixel(scene, size):
    picture, hole, random = scene
    other = np.where(hole[..., None], random.integers(0, 256, picture.shape), picture).astype(np.uint8)
    (a, hole_a), (b, hole_b) = img.fit(picture, hole, size), img.fit(other, hole, size)
    assert (a == b).all() and (hole_a == hole_b).all()
    assert (a[hole_a] == 0).all()


@given(scenes(), arrays.arrays(bool, (16, 16)))
def test_neither_does_what_is_under_a_hole_of_the_models_size(scene, hole):
    picture, _, random = scene
    left, top, right, bottom = img.centre_square(*picture.shape[1::-1])
    hidden = np.zeros(picture.shape[:2], bool)
    if hidden.shape != (16, 16):
        hidden[top:bottom, left:right] = img.enlarge_hole(hole, right - left)
    else:
        hidden = hole
    other = np.where(hidden[..., None], random.integers(0, 256, picture.shape), picture).astype(np.uint8)
    (a, hole_a), (b, hole_b) = img.fit(picture, hole, 16), img.fit(other, hole, 16)
    assert (a == b).all() and (hole_a == hole_b).all()
    assert (hole_a >= hole).all()


@given(scenes(), st.sampled_from(blending.BLENDS))
def test_blending_keeps_known_pixels_and_the_range(scene, blend):
    picture, hole, random = scene
    given_ = img.to_tensor(picture[None])
    made = torch.from_numpy(random.uniform(-1, 1, given_.shape).astype(np.float32))
    filled = blending.compose(given_, made, torch.from_numpy(hole)[None], blend)
    assert (img.to_uint8(filled)[0][~hole] == picture[~hole]).all()
    assert filled.abs().max() <= 1


@given(scenes(), st.integers(0, 40))
def test_importance_weights_are_the_missing_share_of_the_window(scene, reach):
    _, hole, _ = scene
    reach = reach + 1
    weights = losses.importance_weights(torch.from_numpy(hole)[None], 2 * reach + 1)[0, 0].numpy()
    assert ((weights >= 0) & (weights <= 1)).all() and (weights[hole] == 0).all()
    for y, x in ((0, 0), (hole.shape[0] // 2, hole.shape[1] // 2), (hole.shape[0] - 1, 3)):
        around = hole[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        assert weights[y, x] == pytest.approx(0 if hole[y, x] else around.sum() / (around.size - 1), abs=1e-6)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.floats(), max_size=3)
)


@given(st.sampled_from([field.name for field in dataclasses.fields(Settings)]), anything)
def test_a_setting_is_taken_and_in_bounds_or_refused_in_one_sentence_that_names_it(name, value):
    try:
        taken = Settings(**{name: value})
    except (ValueError, TypeError) as error:
        assert str(error).startswith(name) and str(error).endswith(".") and len(str(error)) < 300
    else:
        assert Settings(**dataclasses.asdict(taken)) == taken
        assert hash(taken) == hash(Settings(**dataclasses.asdict(taken)))
        assert 1 <= taken.starts <= 1000 and 1 <= taken.batch_size <= 4096
        assert taken.learning_rate is None or 0 < taken.learning_rate < math.inf
