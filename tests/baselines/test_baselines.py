"""The methods the papers compare with: known answers, and what all of them promise."""

import sys

import numpy as np
import pytest

from inpainter import baselines, masks
from inpainter.baselines import low_rank, nearest, patchmatch, tv

SIZE = 24


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    """Three pictures of slow waves, uint8 (3, 24, 24, 3)."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    waves = [np.sin(3 * x + k) + np.cos(4 * y * (k + 1) + c) for k in range(3) for c in range(3)]
    return (127 + 60 * np.array(waves)).astype(np.uint8).reshape(3, 3, SIZE, SIZE).transpose(0, 2, 3, 1).copy()


@pytest.fixture(
    params=[name for name in baselines.BASELINES if name != "context_encoder"]
)  # which has a file of its own
def fill(request, smooth):
    return baselines.get(request.param, **({"bank": smooth[::-1]} if request.param == "nearest" else {}))


def block(top: int, left: int, side: int) -> np.ndarray:
    hole = np.zeros((SIZE, SIZE), dtype=bool)
    hole[top : top + side, left : left + side] = True
    return hole


def test_known_pixels_come_back_and_what_is_under_the_hole_does_not_matter(fill, smooth):
    holes = np.stack([block(8, 8, 6), block(0, 0, 5), block(SIZE - 4, 3, 4)])  # inside, in a corner, on an edge
    other = np.where(holes[..., None], 255 - smooth, smooth)
    filled = fill(smooth, holes)
    assert filled.shape == smooth.shape and filled.dtype == np.uint8
    assert (filled[~holes] == smooth[~holes]).all()
    assert (filled == fill(other, holes)).all()


def test_a_picture_is_filled_alike_alone_and_in_a_batch(fill, smooth):
    holes = np.stack([block(8, 8, 6), block(2, 9, 5), block(12, 3, 4)])
    together = fill(smooth, holes).astype(int)
    for index in range(3):
        alone = fill(smooth[index : index + 1], holes[index : index + 1])
        assert abs(together[index] - alone[0]).max() <= 1


def test_an_empty_hole_changes_nothing_beside_one_that_is_filled(fill, smooth):
    holes = np.stack([np.zeros((SIZE, SIZE), dtype=bool), block(8, 8, 6), np.zeros((SIZE, SIZE), dtype=bool)])
    filled = fill(smooth, holes)
    assert (filled[[0, 2]] == smooth[[0, 2]]).all()
    assert (filled[1][holes[1]] > 0).any()


def test_a_picture_without_a_known_pixel_is_refused(fill, smooth):
    with pytest.raises(baselines.NotApplicable, match="picture 2 is entirely missing"):
        fill(smooth[:2], np.stack([block(8, 8, 6), np.ones((SIZE, SIZE), dtype=bool)]))


def test_holes_of_another_size_are_refused(fill, smooth):
    with pytest.raises(ValueError, match=r"\(24, 24\).*\(16, 16\)"):
        fill(smooth, masks.center(16))


@pytest.mark.parametrize("name", ["tv", "telea", "navier_stokes", "biharmonic", "patchmatch"])
def test_a_constant_picture_is_filled_with_its_colour(name):
    picture = np.full((1, SIZE, SIZE, 3), (200, 90, 17), np.uint8)
    error = abs(baselines.get(name)(picture, block(7, 7, 10)[None]).astype(int) - picture)
    assert error.max() <= (4 if name == "telea" else 0)  # Telea extrapolates gradients, in whole levels


@pytest.mark.parametrize("across", [False, True])
def test_total_variation_keeps_a_step_edge_straight(across):
    picture = np.full((1, SIZE, SIZE, 3), (220, 40, 90), np.uint8)
    picture[:, :, SIZE // 2 :] = (30, 160, 90)
    picture = picture.transpose(0, 2, 1, 3) if across else picture
    hole = block(8, 7, 8)
    error = abs(tv.fill(picture, hole[None], iterations=1500).astype(int) - picture)
    assert error.max() <= 2


def test_total_variation_is_no_larger_than_the_smooth_start_or_the_truth(smooth):
    def variation(images):
        x = images.astype(float)
        across, down = np.zeros_like(x), np.zeros_like(x)
        across[:, :, :-1], down[:, :-1] = np.diff(x, axis=2), np.diff(x, axis=1)
        return np.sqrt((across**2 + down**2).sum(3)).sum((1, 2))

    holes = np.stack([masks.pattern(SIZE, 0.4, seed) for seed in range(3)])
    filled, start = tv.fill(smooth, holes), tv.fill(smooth, holes, iterations=0)
    assert (variation(filled) < 0.999 * variation(start)).all()
    assert (variation(filled) < 1.001 * variation(smooth)).all()


def test_low_rank_recovers_a_rank_two_matrix_from_half_of_its_entries():
    draws = np.random.default_rng(0)
    truth = draws.uniform(2, 10, (32, 2)) @ draws.uniform(2, 10, (2, 32))
    hole = masks.random(32, missing=0.5, seed=1)
    found = low_rank.complete_matrix(np.where(hole, 0, truth), hole, rank=2)
    assert np.linalg.norm(found - truth) < 0.01 * np.linalg.norm(truth)
    picture = np.stack([truth, truth[::-1], truth[:, ::-1]], axis=2).round().astype(np.uint8)
    assert abs(low_rank.fill(picture[None], hole[None], rank=2)[0].astype(int) - picture).mean() < 2


def test_shrinking_lowers_singular_values_and_keeps_their_vectors():
    matrix = np.diag([5.0, 3.0, 1.0])
    assert np.allclose(low_rank.shrink(matrix, 2), np.diag([3.0, 1.0, 0.0]))


def test_nearest_returns_the_planted_picture_in_whatever_chunk_it_is(monkeypatch, smooth):
    monkeypatch.setattr(nearest, "CHUNK", 7)
    draws = np.random.default_rng(0)
    bank = draws.integers(0, 256, (40, SIZE, SIZE, 3), dtype=np.uint8)
    holes = np.stack([masks.random(SIZE, seed=seed) for seed in range(3)])
    for place in (0, 6, 7, 39):
        bank[place] = smooth[1]
        assert nearest.nearest(np.where(holes[..., None], 0, smooth), holes, bank)[1] == place
        filled = nearest.fill(smooth, holes, bank=bank, blend="overlay")
        assert (filled[1] == smooth[1]).all()
        assert abs(nearest.fill(smooth, holes, bank=bank)[1].astype(int) - smooth[1]).max() <= 1
        bank[place] = 0


def test_nearest_agrees_with_a_plain_search(smooth):
    bank = np.random.default_rng(1).integers(0, 256, (30, SIZE, SIZE, 3), dtype=np.uint8)
    holes = np.stack([masks.pattern(SIZE, seed=seed) for seed in range(3)])
    found = nearest.nearest(np.where(holes[..., None], 0, smooth), holes, bank)
    for picture, hole, index in zip(smooth.astype(int), holes, found, strict=True):
        assert index == ((bank - picture)[:, ~hole] ** 2).sum(axis=(1, 2)).argmin()


def test_a_bank_of_another_size_is_refused(smooth):
    with pytest.raises(ValueError, match=r"bank must be uint8 .*\(24, 24, 3\).*\(2, 16, 16, 3\)"):
        nearest.fill(smooth, block(8, 8, 6), bank=np.zeros((2, 16, 16, 3), np.uint8))


def test_patchmatch_continues_a_stripe():
    picture = np.full((48, 48, 3), (30, 60, 90), np.uint8)
    picture[21:27] = (240, 220, 40)
    hole = np.zeros((48, 48), dtype=bool)
    hole[16:32, 18:30] = True
    filled = patchmatch.fill(picture[None], hole[None])[0]
    assert abs(filled[hole].astype(int) - picture[hole]).mean() < 10


def test_patchmatch_repeats_itself_and_refuses_what_leaves_no_patch(smooth):
    holes = np.stack([block(8, 8, 6)] * 3)
    assert (patchmatch.fill(smooth, holes) == patchmatch.fill(smooth, holes)).all()
    with pytest.raises(baselines.NotApplicable, match=r"7x7 pixels.*none intact"):
        patchmatch.fill(smooth, np.stack([masks.random(SIZE)] * 3))


@pytest.mark.parametrize(("known", "intact"), [((3, 10), True), ((3, 9), False), ((0, 7), True)])
def test_one_square_of_known_pixels_is_an_intact_patch(known, intact):
    hole = np.ones((SIZE, SIZE), dtype=bool)
    hole[slice(*known), slice(*known)] = False
    assert patchmatch.has_intact_patch(hole, radius=3) is intact


def test_a_missing_library_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match="pip install opencv-python-headless"):
        baselines.get("telea")


def test_unknown_names_and_missing_banks_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"tv, low_rank.*got 'magic'"):
        baselines.get("magic")
    with pytest.raises(ValueError, match="'nearest' needs a bank"):
        baselines.get("nearest")


def test_every_baseline_says_what_it_is_and_where_it_is_from():
    for name, baseline in baselines.BASELINES.items():
        assert baseline.description and baseline.reference, name
