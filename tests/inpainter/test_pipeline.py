from functools import partial

import numpy as np
import pytest
import torch
from helpers import tiny_vae
from PIL import Image

from inpainter import Inpainter, Settings, masks, metrics
from inpainter.images import to_tensor
from inpainter.models import Encoder, EncoderConfig
from inpainter.search import search
from inpainter.settings import MODES

both_modes = pytest.mark.parametrize("mode", MODES)


@both_modes
@pytest.mark.parametrize("name", masks.NAMES)
@pytest.mark.parametrize("blend", ["seamless", "poisson", "overlay"])
def test_known_pixels_come_back_bit_for_bit(tiny, pictures, mode, name, blend):
    hole = masks.named(name, 16)
    result = tiny(pictures, hole, mode=mode, steps=5, blend=blend)
    assert (result.images[:, ~hole] == pictures[:, ~hole]).all()
    assert (result.images[:, hole] != pictures[:, hole]).any()


@both_modes
def test_what_is_under_the_hole_changes_nothing(tiny, pictures, mode):
    hole = masks.center(16)
    changed = np.where(hole[..., None], 255 - pictures, pictures)
    a, b = (tiny(p, hole, mode=mode, steps=10) for p in (pictures, changed))
    for name in ("images", "generated", "latents", "context_loss", "prior_loss", "pictures"):
        assert (getattr(a, name) == getattr(b, name)).all(), name


@both_modes
def test_a_batch_of_n_equals_n_singles(tiny, pictures, mode):
    holes = np.stack([masks.center(16), masks.half(16), masks.random(16)])
    batch = tiny(pictures, holes, mode=mode, steps=40)
    for i in range(3):
        single = tiny(pictures[i], holes[i], mode=mode, steps=40)
        np.testing.assert_allclose(batch.latents[i], single.latents[0], atol=1e-3)
        assert np.abs(batch.images[i].astype(int) - single.images[0]).max() <= 2


@both_modes
def test_in_float32_a_batch_differs_from_singles_by_one_grey_level_at_most(tiny, pictures, mode):
    settings = Settings(mode=mode, steps=20, precision="float32")
    batch = tiny(pictures, masks.pattern(16), settings).images.astype(int)
    singles = np.concatenate([tiny(picture, masks.pattern(16), settings).images for picture in pictures])
    assert np.abs(batch - singles).max() <= 1


@both_modes
def test_a_batch_of_faces_equals_single_faces(faces, mode):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    batch = faces(pictures, masks.center(64), mode=mode, steps=4)
    single = faces(pictures[2], masks.center(64), mode=mode, steps=4)
    np.testing.assert_allclose(batch.latents[2], single.latents[0], atol=1e-4)


def test_chunks_make_no_difference(tiny, pictures):
    whole = tiny(pictures, masks.center(16), steps=10, starts=2, batch_size=64)
    chunked = tiny(pictures, masks.center(16), steps=10, starts=2, batch_size=4)
    np.testing.assert_allclose(whole.latents, chunked.latents, atol=1e-4)


@both_modes
def test_same_seed_same_result_and_another_seed_another(tiny, pictures, mode):
    a, b, c = (tiny(pictures, masks.center(16), mode=mode, steps=5, seed=seed) for seed in (1, 1, 2))
    assert (a.images == b.images).all()
    assert (a.latents != c.latents).any()


def test_each_picture_follows_its_own_seed_and_prior_weight(tiny, pictures):
    result = tiny([pictures[0]] * 3, masks.center(16), steps=30, seed=[4, 5, 4], prior_weight=[0, 0, 9])
    single = tiny(pictures[0], masks.center(16), steps=30, seed=5, prior_weight=0)
    np.testing.assert_allclose(result.latents[1], single.latents[0], atol=1e-3)
    assert (result.latents[0] != result.latents[2]).any()
    assert result.prior_loss[2] < result.prior_loss[0]


@both_modes
def test_more_starts_never_end_worse_and_the_first_start_is_the_single_one(tiny, pictures, mode):
    one = tiny(pictures, masks.center(16), mode=mode, steps=20, refine=0)
    many = tiny(pictures, masks.center(16), mode=mode, steps=20, starts=5, refine=0)
    assert (many.loss <= one.loss + 1e-3).all()
    assert (many.loss < one.loss - 1e-3).any()


def test_a_random_start_replaces_the_encoders_only_if_it_is_better_by_more_than_the_anchor_times_its_distance(
    tiny, pictures
):
    torch.manual_seed(0)
    proposing = Inpainter(tiny.model, "cpu", Encoder(EncoderConfig(image_size=16, latent_size=8, channels=(8, 4))))
    fill = partial(proposing, pictures, masks.center(16), steps=20, refine=0)
    proposed = fill(anchor=0.5)
    held, free = fill(anchor=1e4, starts=8), fill(anchor=0, starts=8)
    np.testing.assert_array_equal(held.latents, fill(anchor=1e4).latents)
    assert (free.loss < proposed.loss - 1e-3).any() and (free.loss <= fill(anchor=0).loss + 1e-3).all()

    between = fill(anchor=0.5, starts=8)
    start = fill(anchor=0.5, steps=0).latents
    kept, chosen = ((r.loss + 0.5 * ((r.latents - start) ** 2).sum(1)) for r in (proposed, between))
    assert (chosen <= kept + 1e-3).all()


def test_an_empty_hole_returns_the_picture_untouched_without_a_search(tiny, pictures):
    calls = []
    result = tiny(pictures, np.zeros((16, 16), dtype=bool), callback=lambda *a: calls.append(a))
    assert (result.images == pictures).all()
    assert not calls
    assert "empty" in result.notes[0]


def test_with_everything_missing_a_sample_is_returned_and_said_so(tiny, pictures):
    calls = []
    result = tiny(pictures, np.ones((16, 16), dtype=bool), seed=3, callback=lambda *a: calls.append(a))
    assert (result.images == result.generated).all()
    assert not calls
    assert "everything is missing" in result.notes[0]


def test_empty_full_and_ordinary_holes_share_a_batch(tiny, pictures):
    holes = np.stack([np.zeros((16, 16), bool), masks.center(16), np.ones((16, 16), bool)])
    result = tiny(pictures, holes, steps=10)
    alone = tiny(pictures[1], masks.center(16), steps=10)
    assert (result.images[0] == pictures[0]).all()
    assert np.abs(result.images[1].astype(int) - alone.images[0]).max() <= 1


def test_holes_of_any_shape_are_ordinary(tiny, pictures):
    single, corner, several = (np.zeros((16, 16), dtype=bool) for _ in range(3))
    single[7, 9] = corner[:3, :3] = True
    several[0, 0] = several[5:8, 5:8] = several[15, :] = True
    result = tiny(pictures, np.stack([single, corner, several]), steps=5)
    assert result.images.shape == (3, 16, 16, 3)


def test_one_search_composes_every_way(tiny, pictures):
    hole = masks.center(16)
    result = tiny(pictures, hole, steps=5, blend="overlay")
    assert (result.compose("overlay") == result.images).all()
    assert (result.compose("none") == result.generated).all()
    assert (result.images[:, hole] == result.generated[:, hole]).all()
    assert (result.compose("poisson") == tiny(pictures, hole, steps=5, blend="poisson").images).all()


def test_every_accepted_form_of_picture_and_hole_gives_the_same_result(tiny, pictures):
    hole = masks.center(16)
    expected = tiny(pictures[:1], hole, steps=3).images
    for picture in (pictures[0], Image.fromarray(pictures[0]), [Image.fromarray(pictures[0])], [pictures[0]]):
        for form in (hole, hole[None], Image.fromarray(hole), Image.fromarray(hole.astype(np.uint8) * 255), [hole]):
            assert (tiny(picture, form, steps=3).images == expected).all()


def test_the_callback_reports_progress_composes_previews_and_ends_the_search(tiny, pictures):
    seen = []

    def watch(step, progress):
        seen.append((step, progress.steps, progress.pictures.tolist()))
        preview = progress.compose()
        assert (preview[:, ~masks.center(16)] == pictures[:, ~masks.center(16)]).all()
        return step == 2

    result = tiny(pictures, masks.center(16), mode="paper", steps=50, callback=watch)
    assert seen == [(step, 50, [0, 1, 2]) for step in (0, 1, 2)]
    stopped = tiny(pictures, masks.center(16), mode="paper", steps=2)
    assert (result.latents == stopped.latents).all()


def test_the_result_says_which_search_ran_and_how_far(tiny, pictures):
    hole = masks.center(16)
    usual = tiny(pictures, hole, mode="fast", steps=3)
    paper = tiny(pictures, hole, mode="paper", steps=9, callback=lambda step, progress: step == 4)
    nothing = tiny(pictures, np.zeros((16, 16), bool))
    assert [(r.settings.mode, r.steps) for r in (usual, paper, nothing)] == [("fast", 3), ("paper", 4), ("fast", 0)]
    assert usual.seconds > 0


@pytest.mark.parametrize("settings", [{"steps": 3}, {"learning_rate": 0.05, "steps": 3}])
def test_no_setting_changes_the_mode(tiny, pictures, settings):
    result, fast = (tiny(pictures, masks.center(16), **mode, **settings) for mode in ({}, {"mode": "fast"}))
    assert result.settings.mode == "fast"
    assert (result.latents == fast.latents).all()


def test_a_settings_object_and_its_fields_are_the_same(tiny, pictures):
    settings = Settings(steps=3, seed=5)
    whole, fields, both = (
        tiny(pictures, masks.center(16), *given, **more)
        for given, more in (((settings,), {}), ((), {"steps": 3, "seed": 5}), ((Settings(seed=5),), {"steps": 3}))
    )
    assert (whole.images == fields.images).all() and (whole.images == both.images).all()
    assert whole.settings == fields.settings == both.settings


@pytest.mark.parametrize(("mode", "steps"), [("fast", 150), ("paper", 1500)])
def test_each_mode_has_its_own_number_of_steps(tiny, pictures, mode, steps):
    seen = []
    tiny(pictures[0], masks.center(16), mode=mode, callback=lambda step, progress: seen.append(progress.steps) or True)
    assert seen == [steps]


def test_the_fast_mode_starts_from_a_better_code_and_the_papers_from_the_first(tiny, pictures):
    paper, fast = (tiny(pictures, masks.center(16), mode=mode, steps=0, seed=7) for mode in ("paper", "fast"))
    assert (fast.context_loss < paper.context_loss).all()
    first = tiny.model.sample_latents(1, torch.Generator().manual_seed(7))
    assert (paper.latents == first.numpy()).all()


def test_the_papers_mode_is_the_search_of_the_library(tiny, pictures):
    hole = masks.center(16)
    result = tiny(pictures[0], hole, mode="paper", steps=6, seed=7)
    z = tiny.model.sample_latents(1, torch.Generator().manual_seed(7))
    expected = search(tiny.model, to_tensor(pictures[:1]), torch.from_numpy(hole)[None], z, steps=6)
    assert (result.latents == expected.z.numpy()).all()


@both_modes
def test_a_search_stays_in_its_share_of_the_box_of_codes(tiny, pictures, mode):
    found = tiny(pictures, masks.center(16), mode=mode, steps=30, truncation=0.25)
    assert np.abs(found.latents).max() == pytest.approx(0.25)


def test_a_search_of_a_share_of_the_box_starts_all_over_it(tiny, pictures):
    start, all_of_it = (
        tiny(pictures, masks.center(16), mode="paper", steps=0, truncation=t).latents for t in (0.25, 1)
    )
    assert start == pytest.approx(all_of_it / 4)


def test_a_sample_and_codes_without_a_bound_have_nothing_to_do_with_truncation(tiny, pictures):
    everything = np.ones((16, 16), bool)
    samples = (tiny(pictures, everything, truncation=t).generated for t in (0.25, 1))
    np.testing.assert_array_equal(*samples)
    free = Inpainter(tiny_vae(), device="cpu")
    for mode in MODES:
        few, all_of_them = (free(pictures, masks.center(16), mode=mode, steps=5, truncation=t) for t in (0.25, 1))
        np.testing.assert_array_equal(few.latents, all_of_them.latents)


def test_a_picture_the_generator_can_make_is_recovered(tiny):
    target = tiny(np.zeros((16, 16, 3), np.uint8), np.ones((16, 16), bool), seed=11).images[0]
    hole = masks.pattern(16)
    result = tiny(target, hole, steps=400, starts=4)
    assert metrics.psnr(result.images[0], target, hole) > 22


def test_other_sizes_are_cropped_and_resized_and_the_result_says_so(tiny):
    photo = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    result = tiny(photo, masks.center(16), steps=1)
    assert result.images.shape == (1, 16, 16, 3)
    assert "50x30 cropped" in result.notes[0]
    assert "16x16" in result.notes[0]


@pytest.mark.parametrize(
    ("images", "error", "says"),
    [
        (np.zeros((16, 16, 3), np.float32), TypeError, "float32"),
        (np.full((16, 16, 3), np.nan), TypeError, "float64"),
        (np.zeros((16, 16), np.uint8), ValueError, r"\(16, 16\)"),
        (np.zeros((16, 16, 4), np.uint8), ValueError, r"\(16, 16, 4\)"),
        (np.zeros((1, 1, 3), np.uint8), ValueError, "1x1"),
        (np.zeros((0, 16, 16, 3), np.uint8), ValueError, "empty"),
        ("photo.png", TypeError, "str"),
        ([None], TypeError, "NoneType"),
    ],
)
def test_bad_pictures_are_refused_with_what_was_seen(tiny, images, error, says):
    with pytest.raises(error, match=says):
        tiny(images, masks.center(16), steps=1)


@pytest.mark.parametrize(
    ("hole", "error", "says"),
    [
        (np.zeros((16, 16), np.uint8), TypeError, "uint8"),
        (np.full((16, 16), np.nan), TypeError, "float64"),
        (np.zeros((9, 7), bool), ValueError, "7x9"),
        (np.zeros((2, 16, 16), bool), ValueError, "2 holes"),
        (np.zeros(16, bool), ValueError, r"\(16,\)"),
        (None, TypeError, "NoneType"),
    ],
)
def test_bad_holes_are_refused_with_what_was_seen(tiny, pictures, hole, error, says):
    with pytest.raises(error, match=says):
        tiny(pictures, hole, steps=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": -1},
        {"steps": 1.5},
        {"starts": 0},
        {"batch_size": 0},
        {"learning_rate": 0},
        {"prior_weight": -1},
        {"prior_weight": float("nan")},
        {"prior_weight": [0, 0]},
        {"truncation": 0},
        {"truncation": 1.5},
        {"truncation": float("nan")},
        {"steps": 1e9},
        {"steps": 100_001},
        {"steps": True},
        {"starts": 99_999_999_999},
        {"refine": 1_001},
        {"batch_size": 4097},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": 0.5},
        {"window": 35},
        {"window": "wide"},
        {"precision": "float16"},
        {"anchor": float("inf")},
        {"both_ways": "no"},
        {"speed": 2},
        {"seed": [1]},
        {"blend": "feathered"},
        {"mode": "quick"},
        {"norm": "l0"},
        {"window": 4},
    ],
)
def test_bad_settings_are_refused(tiny, pictures, settings):
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        tiny(pictures, masks.center(16), **{"steps": 1, **settings})
