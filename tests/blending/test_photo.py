"""Blending a filling back into a photo at full resolution."""

import numpy as np
import pytest

from inpainter import masks
from inpainter.blending import BLENDS, harmonic_solver
from inpainter.blending.photo import Square, _rim, harmonic_fill, paste_back
from inpainter.images import enlarge_hole, reduce_hole


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 170, 3), dtype=np.uint8)


GREY = np.full((16, 16, 3), 90, np.uint8)


@pytest.mark.parametrize("blend", ["poisson", "seamless", "overlay"])
def test_a_thin_hole_is_not_lost_in_a_square_of_fewer_pixels(blend):
    hole = np.zeros((128, 128), bool)
    hole[43] = True
    photo = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    filled = paste_back(photo, Square(0, 0, 100), np.zeros((128, 128, 3), np.uint8), hole, blend)
    assert set(np.flatnonzero((filled != photo).any(axis=(1, 2)))) == {33, 34}


@pytest.mark.parametrize("blend", BLENDS)
def test_every_pixel_outside_the_hole_comes_back_bit_for_bit(photo, blend):
    square, before = Square(31, 9, 101), photo.copy()  # no multiple of the model's size
    hole = masks.pattern(16, seed=1)
    filled = paste_back(photo, square, GREY, hole, blend)
    missing = np.zeros(photo.shape[:2], bool)
    missing[square.slices] = enlarge_hole(hole, 101)
    assert (filled[~missing] == photo[~missing]).all()
    assert (filled[missing] != photo[missing]).any(axis=1).mean() > 0.9
    assert (photo == before).all()


def test_what_is_under_the_hole_does_not_matter(photo):
    square, hole = Square(0, 0, 120), masks.center(16)
    other = photo.copy()
    other[35:80, 35:80] = 255 - other[35:80, 35:80]
    assert (paste_back(photo, square, GREY, hole) == paste_back(other, square, GREY, hole)).all()


def test_a_filling_takes_the_photos_colour_and_keeps_its_own_gradients():
    ramp = np.repeat(np.linspace(60, 120, 64).round().astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    photo = np.repeat(np.linspace(100, 160, 512)[None, :, None], 512, axis=0).repeat(3, axis=2).round().astype(np.uint8)
    filled = paste_back(photo, Square(0, 0, 512), ramp, masks.center(64))
    assert np.abs(filled.astype(int) - photo).max() <= 2


def filled(values: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """What `harmonic_fill` makes of values (H, W, C) in a hole (H, W): (missing, C)."""
    rim = np.flatnonzero(_rim(hole))
    return harmonic_fill(values.reshape(hole.size, -1)[rim].T, rim, hole)[:, hole].T


@pytest.mark.parametrize("name", masks.NAMES)
def test_coarse_to_fine_comes_close_to_the_exact_solution(name):
    side = 200
    hole = enlarge_hole(masks.named(name, 64, seed=1), side)
    y, x = np.mgrid[:side, :side] / side
    values = np.stack([80 * np.sin(7 * x + 5 * y), 60 * x * y, 100 * x], axis=2).astype(np.float32)
    exact = harmonic_solver(hole.tobytes(), hole.shape)(values[~hole].astype(float))
    error = np.abs(filled(values, hole) - exact)
    assert error.mean() < 2.5 and error.max() < 6  # of levels that span 160


def test_a_constant_difference_is_continued_exactly():
    hole = masks.random(100, seed=2)
    assert np.abs(filled(np.full((100, 100, 1), 7, np.float32), hole) - 7).max() < 1e-3


def test_large_holes_relaxed_near_their_rim_come_as_close(monkeypatch):
    hole = enlarge_hole(masks.center(64), 300)
    y, x = np.mgrid[:300, :300] / 300
    values = (80 * np.sin(9 * x + 5 * y) + 20 * np.sin(90 * x * y))[..., None].astype(np.float32)
    exact = harmonic_solver(hole.tobytes(), hole.shape)(values[~hole].astype(float))
    monkeypatch.setattr("inpainter.blending.photo.SWEEPS", ((40, 40), (80, 12)))
    error = np.abs(filled(values, hole) - exact)
    assert error.mean() < 1.5 and error.max() < 15  # of levels that span 200


def test_an_empty_hole_leaves_the_photo_and_a_complete_one_takes_the_whole_square(photo):
    nothing, everything = np.zeros((16, 16), bool), np.ones((16, 16), bool)
    assert (paste_back(photo, Square(10, 10, 64), GREY, nothing) == photo).all()
    assert (paste_back(photo, Square(10, 10, 64), GREY, everything, "overlay")[10:74, 10:74] == 90).all()
    assert (paste_back(photo[:64, :64], Square(0, 0, 64), GREY, everything) == 90).all()


@pytest.mark.parametrize("square", [Square(40, 30, 64), Square(0, 0, 64), Square(106, 56, 64), Square(40, 56, 64)])
@pytest.mark.parametrize("hole", [masks.half(16, side) for side in masks.SIDES] + [np.ones((16, 16), bool)])
def test_where_a_hole_touches_the_crops_edge_the_photo_beyond_it_counts(square, hole):
    """A flat photo and a flat filling of another colour: blended, the filling takes the photo's colour."""
    photo = np.full((120, 170, 3), 160, np.uint8)
    known_inside = photo.copy()
    known_inside[square.slices] = np.where(enlarge_hole(hole, 64)[..., None], 7, 160)  # hidden: must not matter
    assert (paste_back(known_inside, square, GREY, hole) == 160).all()


def test_a_filling_that_reaches_the_crops_edge_has_no_seam_there():
    photo = np.repeat(np.linspace(0, 250, 200)[None, :, None], 100, axis=0).repeat(3, axis=2).round().astype(np.uint8)
    hole = masks.half(16, "right")  # beyond it the photo is brighter than anything inside the crop
    filled = paste_back(photo, Square(40, 20, 60), GREY, hole).astype(int)
    assert np.abs(np.diff(filled, axis=1)[20:80, 60:120]).max() <= 6


def test_a_hole_of_one_pixel_at_the_border_is_filled(photo):
    hole = np.zeros((16, 16), bool)
    hole[0, 0] = True
    filled = paste_back(photo, Square(0, 0, 120), GREY, hole)
    assert (filled[8:] == photo[8:]).all() and (filled[:7, :7] != photo[:7, :7]).any()


@pytest.mark.parametrize("square", [Square(-1, 0, 20), Square(0, 110, 20), Square(0, 0, 130)])
def test_a_square_that_leaves_the_photo_is_refused(photo, square):
    with pytest.raises(ValueError, match="not inside the photo of 170x120"):
        paste_back(photo, square, GREY, masks.center(16))


def test_an_unknown_blend_is_refused(photo):
    with pytest.raises(ValueError, match="poisson or overlay, got 'none'"):
        paste_back(photo, Square(0, 0, 64), GREY, masks.center(16), "none")


def test_a_seamless_filling_takes_nothing_from_what_g_made_of_the_known_pixels():
    hole = masks.center(16)
    photo = np.full((128, 128, 3), 150, np.uint8)
    edge = np.where(hole[..., None], GREY, 240).astype(np.uint8)
    filled = paste_back(photo, Square(0, 0, 128), edge, hole, "seamless")
    assert (abs(filled.astype(int) - 150) <= 1).all()  # a constant filling takes the photo's colour
    assert abs(paste_back(photo, Square(0, 0, 128), edge, hole).astype(int) - 150).max() > 50


@pytest.mark.parametrize("side", [10, 40, 120])
def test_a_hole_at_the_photos_own_resolution_is_blended_seamlessly(side):
    photo = np.random.default_rng(1).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    square, hole = Square(0, 0, side), enlarge_hole(masks.center(20), side)
    filling = np.random.default_rng(2).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    other = np.where(reduce_hole(hole, 20)[..., None], filling, 255 - filling)
    filled, same = (paste_back(photo, square, generated, hole, "seamless") for generated in (filling, other))
    if side > 20:  # the hole lies on the model's grid
        assert (filled == paste_back(photo, square, filling, masks.center(20), "seamless")).all()
    assert (filled == same).all()  # whatever G made of the known pixels
    changed = (filled != photo).any(axis=2)
    assert changed[square.slices][hole].mean() > 0.9 and not changed[square.slices][~hole].any()
