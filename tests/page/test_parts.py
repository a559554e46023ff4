"""The page's own parts, without a browser."""

import base64
import io
import json
import pickle
import re
import shlex
import threading
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import tiny_dcgan
from PIL import Image

pytest.importorskip("gradio", reason="Gradio is not installed")

import gradio as gr

from inpainter import Inpainter, Result, masks
from inpainter.__main__ import parser
from inpainter.baselines.context_encoder import ContextEncoder, ContextEncoderConfig
from inpainter.blending import Square
from inpainter.settings import MODES
from page import compare, editor, explore, files, framing, gpu, live, runs, snippets, views
from page.models import models_in
from page.outcomes import Outcome
from page.photo import Photo, crop, place_of, read_photo, square_at
from page.runs import Preview, StopSwitches, stream
from page.settings import NORMS, WEIGHTS, Settings

VISITOR = SimpleNamespace(session_hash="visitor")
CHOICES = snippets.Choices("dcgan-celeba", "center", 0, "left", Settings(steps=20, seed=5))


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether pictures are the same but for the rounding of the search's own networks."""
    return np.abs(a.astype(int) - b).max() <= 1


@pytest.mark.parametrize("name", masks.NAMES)
def test_the_editor_gives_back_the_hole_it_was_shown(name):
    hole = masks.named(name, 64, seed=1)
    value, strokes = editor.show(np.zeros((64, 64, 3), np.uint8), hole)
    assert (np.asarray(value["layers"][0])[::8, ::8, 3] > 0).tolist() == hole.tolist()
    assert (editor.hole_of(strokes, 64) == hole).all()


def test_a_pixel_is_missing_as_soon_as_part_of_it_is_drawn_over():
    before, after = 80 * 512 + 88, 512 * 512 - 80 * 512 - 88 - 1
    hole = editor.hole_of(f"512,512,{before},1,{after}", 64)
    assert hole[10, 11] and hole.sum() == 1


@pytest.mark.parametrize("strokes", [None, "", "64", "8,8,63", "8,8,70,-6", "8,8,a", "9999999,9999999,99999980000001"])
def test_strokes_that_fit_no_canvas_are_refused(strokes):
    with pytest.raises(ValueError, match="strokes must be"):
        editor.hole_of(strokes, 8)


def test_nothing_drawn_is_refused_where_a_hole_is_needed():
    assert not editor.hole_of("8,8,64", 8).any()
    with pytest.raises(ValueError, match="Nothing is missing yet"):
        editor.drawn_hole("8,8,64", 8)


def test_a_live_run_is_one_short_search_with_the_prior_as_set():
    live = Settings(mode="paper", steps=1500, candidates=4, prior_weight=0.01, window=None).live()
    assert live.seeds == [0] and live.prior_weights == [0.01]
    assert live.mode == "fast" and live.steps < MODES["fast"] and live.window is None


@pytest.fixture
def drawing(tiny, pictures, monkeypatch):
    """What a visitor's live runs are told, by name, and the model's answer to it."""
    monkeypatch.setattr(runs, "model_named", lambda name: tiny)
    _, strokes = editor.show(pictures[0], masks.center(16))
    fields = {"search": "Fast", "steps": 9, "prior_weight": 0.003, "learning_rate": 0.03, "candidates": 3, "seed": 4}
    fields |= {"weighting": next(iter(WEIGHTS)), "norm": next(iter(NORMS)), "blend": "Overlay"}
    photo = Photo("", 16, 16, pictures[0])
    usual = {"strokes": strokes, "name": "tiny", "photo": photo, "zoom": 1, "across": 50, "down": 50}
    return usual | {"picture": pictures[0], "request": VISITOR} | fields


@pytest.fixture
def live_run(drawing):
    """Starts a live run of a visitor; its keywords replace what is usual."""
    return lambda **changes: live.run(**{"wanted": drawing["strokes"]} | drawing | changes)


@pytest.fixture
def supersede(drawing):
    """Tells that something is drawn; its keywords replace what is usual."""
    return lambda **changes: live.supersede(**{"live": True, "busy": False} | drawing | changes)


@pytest.fixture
def proposal(tiny, pictures):
    return tiny(pictures[0], masks.center(16), mode="fast", steps=0, seed=4, blend="overlay").images


def test_a_live_run_proposes_refines_and_ends_with_an_outcome(live_run, proposal):
    first, *_, last, _ = live_run()
    assert 'data-step="0"' in first[0] and 'data-step="done"' in last[0]
    outcome = last[-2]
    assert alike(outcome.previews[0].images, proposal)
    assert outcome.steps_done == outcome.settings.steps and len(outcome.result.images) == 1


@pytest.mark.parametrize("newer", [True, False])
def test_a_live_run_ends_without_a_result_when_something_newer_or_run_takes_over(live_run, supersede, newer):
    run = live_run()
    next(run)
    supersede() if newer else live.give_way(VISITOR)
    assert list(run) == [[gr.skip()] * 7]


def test_strokes_are_wanted_live_unless_that_is_switched_off_or_a_run_goes_on(supersede, drawing):
    assert supersede()[0] == drawing["strokes"]
    assert supersede(live=False) == supersede(busy=True) == (None, gr.skip())


def test_a_proposal_is_shown_before_the_live_run_has_its_turn(supersede, proposal, drawing):
    _, view = supersede()
    filled = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="Filled"', view)[1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(filled))).convert("RGB"))
    assert 'data-step="0"' in view and alike(shown, proposal[0])
    assert supersede(strokes="16,16,256") == ("16,16,256", gr.skip())


def test_no_proposal_is_made_where_a_gpu_has_to_be_lent(supersede, drawing, monkeypatch):
    monkeypatch.setattr(live, "ZERO_GPU", True)
    assert supersede() == (drawing["strokes"], gr.skip())


@pytest.mark.parametrize("wanted", [None, "16,16,256"])
def test_strokes_that_are_no_longer_wanted_are_not_filled(live_run, wanted):
    assert list(live_run(wanted=wanted)) == [[gr.skip()] * 7]


def test_a_live_run_of_an_empty_hole_shows_the_welcome(live_run):
    (item,) = live_run(strokes="16,16,256", wanted="16,16,256")
    assert item[0] == views.WELCOME


def test_a_context_encoder_is_compared_with_and_no_model_to_choose(tmp_path, monkeypatch):
    Inpainter(tiny_dcgan(), device="cpu").save_pretrained(tmp_path / "dcgan-tiny")
    monkeypatch.setattr(compare, "MODELS", {"dcgan-tiny": tmp_path / "dcgan-tiny"})
    with pytest.raises(ValueError, match="no trained network"):
        compare.context_encoder("dcgan-tiny")
    network = ContextEncoder(ContextEncoderConfig(image_size=16, bottleneck=8, channels=(16, 8)))
    network.save_pretrained(tmp_path / "context-encoder-tiny")
    assert compare.context_encoder("dcgan-tiny").config == network.config
    assert list(models_in(tmp_path)) == ["dcgan-tiny"]


def test_the_comparison_marks_the_best_at_the_end_and_says_what_was_left_out():
    picture, hole = np.zeros((16, 16, 3), np.uint8), masks.center(16)
    fillings = [compare.scored(name, picture + level, 0.01, picture, hole) for name, level in (("a", 9), ("b", 3))]
    forming, done = (compare.show(picture, hole, fillings, {"c": "it is <no> use."}, now) for now in ("c", ""))
    assert "best" not in forming and "Now: c" in forming
    assert "b <b>38.6 dB, best</b>" in done and "a <b>29.0 dB</b>" in done
    assert "it is &lt;no&gt; use." in done


def test_pictures_handed_to_gradio_never_share_a_file():
    picture = np.zeros((8, 8, 3), np.uint8)
    assert editor.shown(picture).info != editor.shown(picture).info


def test_the_crop_moves_over_the_whole_photo():
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[50:, 150:] = 255
    photo = Photo("", 200, 100, pixels)
    assert crop(photo, 16, (2, 100, 100)).min() == 255
    assert crop(photo, 16, (2, 0, 0)).max() == 0


def test_a_place_says_where_a_square_is():
    for square in (square_at(3000, 2000, (2.5, 30, 70)), square_at(200, 200, (1, 50, 50))):
        width, height = (3000, 2000) if square.left else (200, 200)
        again = square_at(width, height, place_of(square, width, height))
        assert np.abs(np.subtract(again.slices[0].start, square.top)) <= 2
        assert abs(again.left - square.left) <= 2 and abs(again.side - square.side) <= 4


def test_large_photos_are_kept_small_and_small_ones_as_they_are(tmp_path):
    for size, kept in (((3000, 2500), (1024, 1229)), ((60, 90), (90, 60))):
        Image.new("RGB", size).save(tmp_path / "photo.png")
        photo = read_photo(str(tmp_path / "photo.png"))
        assert (photo.width, photo.height) == size and photo.pixels.shape[:2] == kept


@pytest.fixture
def outcome(tiny, pictures) -> Outcome:
    """A finished run of two candidates, each with and without the prior loss."""
    settings, picture, hole = Settings(steps=4, candidates=2, seed=7), pictures[0], masks.center(16)
    outcome = Outcome("tiny", Photo("", 16, 16, picture), (1, 50, 50), picture, hole, settings)
    rows = np.stack([picture] * outcome.rows)
    weights = [outcome.prior_weight(row) for row in range(outcome.rows)]
    search = lambda callback: tiny(rows, hole, steps=4, prior_weight=weights, seed=[7, 8, 7, 8], callback=callback)  # noqa: E731
    *outcome.previews, outcome.result = stream(search, 4, threading.Event())
    return outcome


def test_each_candidate_is_the_search_that_its_seed_alone_would_be(tiny, outcome):
    for row, seed in enumerate((7, 8)):
        alone = tiny(outcome.picture, outcome.hole, steps=4, seed=seed)
        assert np.abs(alone.images[0].astype(int) - outcome.result.images[row]).max() <= 1
    assert outcome.rows_of(1) == [1, 3] and outcome.prior_weight(3) == 0 and outcome.best() in (0, 1)


def test_the_archive_holds_every_candidate_and_the_settings(outcome):
    archive = zipfile.ZipFile(io.BytesIO(files.archive(outcome)))
    names = archive.namelist()
    for candidate in (1, 2):
        for kind in ("poisson", "overlay"):
            for suffix in ("", "-no-prior"):
                assert f"candidate-{candidate}/filled-{kind}{suffix}.png" in names
    filled = np.asarray(Image.open(archive.open("candidate-2/filled-poisson.png")))
    assert (filled == outcome.result.images[1]).all()
    record = json.loads(archive.read("losses.json"))
    assert record["settings"]["steps"] == record["steps_done"] == 4
    assert [search["seed"] for search in record["searches"]] == [7, 8, 7, 8]


def test_the_comparison_is_of_the_chosen_candidate(outcome):
    first, second = views.finished(outcome, 0), views.finished(outcome, 1)
    for candidate, view in enumerate((first, second)):
        for blend in ("overlay", "poisson"):
            for row in outcome.rows_of(candidate):
                assert files.data_uri(files.png(outcome.result.compose(blend)[row])) in view
    assert "candidate 2 of 2" in second


def test_the_path_is_drawn_for_both_searches_of_a_candidate(outcome):
    path = explore.show_path(outcome, 1)
    assert path.count("<polyline") == 2 and "candidate 2" in path
    assert explore.show_path(None, 0) == explore.NO_PATH


def test_a_stream_ends_with_the_result_of_the_steps_that_were_taken(tiny: Inpainter, pictures):
    hole, stop = masks.center(16), threading.Event()

    def search(callback) -> Result:
        return tiny(pictures, hole, steps=200, callback=callback)

    items = []
    for item in stream(search, 200, stop):
        items.append(item)
        if isinstance(item, Preview) and item.step:
            stop.set()
    previews, result = items[:-1], items[-1]
    assert previews[0].step == 0 and previews[-1].step < 200
    alone = tiny(pictures, hole, steps=200, callback=lambda step, _: step == previews[-1].step)
    assert (alone.images == result.images).all()
    assert alike(previews[-1].images, result.images)


def test_a_stream_raises_what_the_search_raises():
    def search(callback):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(stream(search, 10, threading.Event()))


def test_stopping_one_visitor_leaves_the_others_alone():
    switches = StopSwitches()
    with switches.switch("one") as one, switches.switch("other") as other:
        switches.stop("one")
        switches.stop("nobody")
        assert one.is_set() and not other.is_set()


@pytest.mark.parametrize("preset", [*masks.NAMES, None])
def test_the_snippets_are_valid(preset):
    for candidates, mode in ((1, "fast"), (3, "paper")):
        settings = Settings(mode=mode, steps=20, seed=5, window=None, blend="overlay", candidates=candidates)
        choices = snippets.Choices("dcgan-celeba", preset, 0, "left", settings)
        compile(snippets.python(choices, 64), "snippet", "exec")
        compile(snippets.client(choices, "http://127.0.0.1:7860/"), "snippet", "exec")
        lines = snippets.command(choices).replace("\\\n", " ").splitlines()
        commands = [shlex.split(line, comments=True)[3:] for line in lines if not line.startswith("#")]
        assert len(commands) == candidates
        for number, command in enumerate(commands):
            arguments = parser().parse_args(command)
            assert (arguments.mode, arguments.steps, arguments.seed) == (mode, 20, 5 + number)
            assert arguments.blend == "overlay"
            assert arguments.mask == (preset or "mask.png")


def test_the_python_snippet_does_what_the_page_does(tiny, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inpainter, "from_pretrained", lambda name: tiny)
    Image.fromarray(pictures[0]).save("photo.png")
    exec(snippets.python(CHOICES, 16), {})
    expected = tiny(pictures[0], masks.center(16), mode="fast", steps=20, seed=5)
    assert (np.asarray(Image.open("filled.png")) == expected.images[0]).all()
    three = replace(CHOICES, settings=replace(CHOICES.settings, candidates=3))
    exec(snippets.python(three, 16), {})
    assert np.abs(np.asarray(Image.open("filled-1.png")).astype(int) - expected.images[0]).max() <= 1
    assert Image.open("filled-3.png").tobytes() != Image.open("filled-1.png").tobytes()


def test_the_python_snippet_for_a_photo_fills_it_at_its_full_resolution(tiny, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inpainter, "from_pretrained", lambda name: tiny)
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(photo).save("photo.png")
    exec(snippets.python(replace(CHOICES, square=Square(30, 10, 48)), 16), {})
    filled = np.asarray(Image.open("filled-1.png"))
    missing = np.zeros((60, 80), bool)
    missing[10 + 12 : 10 + 36, 30 + 12 : 30 + 36] = True
    assert (filled == photo)[~missing].all() and (filled != photo)[missing].mean() > 0.9


def test_a_photo_that_was_cleared_away_gives_one_sentence(outcome):
    gone = replace(outcome, photo=Photo("gone.png", 300, 200, outcome.picture))
    with pytest.raises(framing.gr.Error, match="upload it again"):
        framing.paste(gone, 0)


def test_a_switch_is_seen_by_another_process():
    switches = StopSwitches()
    with switches.switch("visitor") as switch:
        copy = pickle.loads(pickle.dumps(switch))
        assert not copy.is_set()
        switches.stop("visitor")
        assert copy.is_set() and switch.is_set()


def test_zero_gpu_decorates_and_anything_else_does_not(monkeypatch):
    def function():
        return 1

    assert gpu.on_gpu(function) is function
    monkeypatch.setattr(gpu, "ZERO_GPU", True)
    monkeypatch.setattr(gpu, "spaces", SimpleNamespace(GPU=lambda f: lambda: f() + 1))
    assert gpu.on_gpu(function)() == 2
