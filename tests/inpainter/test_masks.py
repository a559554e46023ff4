import io

import numpy as np
import pytest
from PIL import Image

from inpainter import masks


def test_center_is_the_middle_32_of_64():
    hole = masks.center(64)
    assert hole[16:48, 16:48].all()
    assert hole.sum() == 32 * 32


@pytest.mark.parametrize("make", [masks.random, masks.pattern])
@pytest.mark.parametrize("missing", [0.0, 0.25, 0.8, 1.0])
def test_exactly_the_wanted_share_is_missing(make, missing):
    assert make(64, missing=missing, seed=3).sum() == round(missing * 64 * 64)


@pytest.mark.parametrize("make", [masks.random, masks.pattern])
def test_a_seed_decides_the_mask(make):
    assert (make(64, seed=1) == make(64, seed=1)).all()
    assert (make(64, seed=1) != make(64, seed=2)).any()


def test_pattern_is_made_of_blobs_and_random_of_single_pixels():
    def rim(hole):  # neighbouring pairs that differ
        return (hole[1:] != hole[:-1]).sum() + (hole[:, 1:] != hole[:, :-1]).sum()

    assert rim(masks.pattern(64, missing=0.25)) < 0.3 * rim(masks.random(64, missing=0.25))


@pytest.mark.parametrize(
    ("side", "corner"), [("left", (32, 0)), ("right", (32, 63)), ("top", (0, 32)), ("bottom", (63, 32))]
)
def test_half_is_missing_on_the_side_named(side, corner):
    hole = masks.half(64, side=side)
    assert hole.sum() == 64 * 32
    assert hole[corner]


@pytest.mark.parametrize("name", masks.NAMES)
@pytest.mark.parametrize("size", [1, 16, 33])
def test_every_named_mask_is_boolean_at_any_size(name, size):
    hole = masks.named(name, size, seed=5)
    assert hole.dtype == bool
    assert hole.shape == (size, size)


def test_wrong_names_sides_and_shares_are_refused():
    for call in (
        lambda: masks.named("middle", 64),
        lambda: masks.half(64, side="up"),
        lambda: masks.random(64, missing=1.5),
        lambda: masks.center(0),
    ):
        with pytest.raises(ValueError, match=r"must be|is named"):
            call()


def test_a_mask_picture_is_missing_where_it_is_128_or_brighter():
    levels = np.zeros((4, 4), np.uint8)
    levels[1, 2], levels[3, 3], levels[0, 0], levels[0, 1] = 255, 128, 127, 1
    expected = levels >= 128
    for mode in ("L", "RGB", "P", "I;16", "F"):
        assert (masks.from_image(Image.fromarray(levels).convert(mode)) == expected).all(), mode


def test_the_ringing_of_a_jpeg_does_not_grow_the_hole():
    hole = np.roll(masks.center(64), 3)
    with io.BytesIO() as file:
        Image.fromarray(hole.astype(np.uint8) * 255).save(file, "JPEG", quality=30)
        with Image.open(file) as image:
            assert (np.asarray(image)[~hole] > 0).any()
            assert (masks.from_image(image) == hole).all()


def test_sixteen_bits_are_read_by_their_own_range():
    levels = np.array([[0, 128, 32000, 33000, 65535]], np.uint16)
    assert masks.from_image(Image.fromarray(levels)).tolist() == [[False, False, False, True, True]]


def test_a_drawn_layer_is_missing_where_it_is_opaque_whatever_its_colour():
    layer = np.zeros((4, 4, 4), np.uint8)
    layer[2, 1], layer[0, 0] = (0, 0, 0, 128), (255, 255, 255, 127)  # a black stroke, and the soft rim of one
    assert masks.from_image(Image.fromarray(layer, "RGBA")).nonzero() == (np.array([2]), np.array([1]))
