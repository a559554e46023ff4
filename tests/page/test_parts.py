"""The parts that the page is made of, without a browser."""

import asyncio
import datetime
import io
import json
import math
import os
import pickle
import shlex
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, tiny_dcgan
from helpers import tiny_comod
from PIL import Image

pytest.importorskip("gradio", reason="Gradio is not installed")

import gradio as gr
from gradio.state_holder import StateHolder

from inpainter import Inpainter, Result, masks
from inpainter.__main__ import parser
from inpainter.baselines.context_encoder import ContextEncoder, ContextEncoderConfig
from inpainter.blending import Square
from page import errors, gpu, mailboxes, models, pixels, sessions, storage
from page.editor import presets, stage
from page.photo import deliver, framing, store
from page.runs import fill, scene, search, turns
from page.runs.outcome import Outcome
from page.runs.scene import Asked, Scene
from page.settings import Choice
from page.tabs import details, explore, methods, parts, snippets


def visitor(session: str = "visitor", address: str = "1.2.3.4") -> SimpleNamespace:
    return SimpleNamespace(session_hash=session, client=SimpleNamespace(host=address), headers={})


@pytest.fixture
def tiny_offer(tiny, tmp_path, monkeypatch):
    """The tiny model, as the page offers one, with one example."""
    (tmp_path / "tiny" / "examples").mkdir(parents=True)
    ramp = np.linspace(0, 255, 16).astype(np.uint8)
    Image.fromarray(np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 128), axis=2).astype(np.uint8)).save(
        tmp_path / "tiny" / "examples" / "a.png"
    )
    offer = models.Offer("tiny", tmp_path / "tiny", 16, "dcgan", "tiny")
    monkeypatch.setattr(models, "MODELS", {"tiny": offer})
    for module in (models, search):
        monkeypatch.setattr(module, "model_named", lambda name: tiny)
    monkeypatch.setattr("page.settings.model_named", lambda name: tiny)
    return offer


def described(number: int = 1, effort: str = "run", hole=None, **settings) -> str:
    hole = masks.center(16) if hole is None else hole
    fields = {"model": "tiny", "picture": "example:a.png", "square": None, "hole": scene.pack(hole), "preset": ""}
    return json.dumps(
        {"id": f"s{number}", "number": number, "effort": effort, "scene": fields | {"settings": settings}}
    )


def answers(asked: str, request=None) -> list[dict]:
    return [json.loads(told[0]) for told in fill.fill(asked, request or visitor()) if isinstance(told[0], str)]


# Scenes


@pytest.mark.parametrize("size", [16, 30, 64, 128])
def test_a_hole_survives_its_way_through_the_browser(size):
    hole = masks.pattern(size, seed=1)
    assert (scene.unpack(scene.pack(hole), size) == hole).all()


@pytest.mark.parametrize("text", [None, 7, "", "AAAA", "no bits", "ä", "A" * 10_000])
def test_what_is_no_hole_is_refused(text):
    with pytest.raises(ValueError, match="hole could not be read"):
        scene.unpack(text, 16)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"id": 1}', '{"id": "a", "number": "x", "effort": "run", "scene": {}}', "[" * 9999]
)
def test_what_is_no_scene_is_answered_with_one_sentence(text):
    (told,) = answers(text)
    assert told["state"] == "failed" and told["text"].endswith(".")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "nobody"}, "no model 'nobody'"),
        ({"model": []}, "no model"),
        ({"picture": "example:../../etc/passwd"}, "no example"),
        ({"picture": "photo:guess"}, "has been deleted"),
        ({"settings": {"steps": 10**9}}, "steps must be"),
        ({"settings": {"steps": "many"}}, "steps must be"),
        ({"settings": {"window": 10**6}}, "window must be"),
        ({"settings": {"batch_size": 1}}, "settings must be"),
        ({"settings": {"candidates": 99}}, "candidates must be"),
        ({"settings": []}, "settings must be"),
    ],
)
def test_a_scene_that_the_page_does_not_offer_is_answered_with_one_sentence(tiny_offer, fields, expected):
    asked = json.loads(described())
    asked["scene"] |= fields
    (told,) = answers(json.dumps(asked))
    assert told["state"] == "failed" and told["id"] == "s1" and expected in told["text"]


def test_the_opening_scene_is_one_that_python_reads_and_every_preset_is_of_its_size(tiny_offer, monkeypatch):
    monkeypatch.setattr(stage, "MODELS", models.MODELS)
    read = scene.scene_of(stage.opening())
    assert (read.hole == masks.center(16)).all() and read.preset == "center"
    assert all(scene.unpack(text, 64).any() for text in presets.presets(64).values())


# Filling


def test_a_fill_proposes_searches_and_ends_with_the_id_of_its_scene(tiny_offer, tiny, pictures):
    told = answers(described(steps=9))
    assert {answer["id"] for answer in told} == {"s1"}
    assert [told[0]["text"], told[-1]["state"]] == ["First proposal", "done"]
    assert told[-1]["text"].endswith("9 steps.") and answers(described(7, steps=1))[-1]["text"].endswith("1 step.")
    *_, (_, html, outcome) = fill.fill(described(2, steps=9), visitor())
    assert 'data-scene="s2"' in html and outcome.id == "s2"
    alone = tiny(outcome.scene.picture, masks.center(16), steps=9)
    assert np.abs(outcome.filled(0).astype(int) - alone.images[0]).max() <= 1


def test_a_newer_request_ends_the_older_one_without_a_word_and_is_filled(tiny_offer):
    older = fill.fill(described(1, steps=1500, mode="paper"), visitor())
    assert json.loads(next(older)[0])["state"] == "forming"
    newer = fill.fill(described(2, "live"), visitor())
    told = [json.loads(next(newer)[0])]
    assert [item[0] for item in older] == [gr.skip()]
    told += [json.loads(item[0]) for item in newer]
    assert told[-1]["state"] == "done" and told[-1]["id"] == "s2"


def test_a_request_that_arrives_after_a_newer_one_is_not_filled(tiny_offer):
    newer = fill.fill(described(5, steps=300, mode="paper"), visitor())
    next(newer)
    assert answers(described(4)) == []
    assert json.loads(list(newer)[-1][0])["state"] == "done"


def test_a_superseded_fill_of_somebody_else_goes_on(tiny_offer):
    mine = fill.fill(described(1), visitor("me"))
    next(mine)
    assert answers(described(9), visitor("you"))[-1]["state"] == "done"
    assert json.loads(list(mine)[-1][0])["state"] == "done"


def test_stop_keeps_what_was_found_and_spares_what_was_asked_for_later(tiny_offer):
    run = fill.fill(described(3, steps=1500, mode="paper"), visitor("stopper"))
    next(run)
    fill.stop_run("3", visitor("stopper"))
    next(run)
    fill.stop_run("4", visitor("stopper"))
    told = [json.loads(item[0]) for item in run]
    assert told[-1]["state"] == "done" and "stopped after" in told[-1]["text"]


def test_a_run_that_its_stop_has_overtaken_ends_with_the_proposal(tiny_offer):
    fill.stop_run("2", visitor("hasty"))
    told = answers(described(1, steps=1500, mode="paper"), visitor("hasty"))
    assert told[-1]["state"] == "done" and "stopped after" in told[-1]["text"] and told[-1]["step"] <= 1
    assert answers(described(2, steps=9), visitor("hasty"))[-1]["step"] == 9


def test_a_run_that_was_superseded_before_it_arrived_is_not_filled(tiny_offer):
    fill.supersede("2", visitor("editor"))
    assert answers(described(1, steps=1500, mode="paper"), visitor("editor")) == []
    assert answers(described(1, steps=9), visitor("another"))[-1]["state"] == "done"


def test_a_page_that_is_closed_does_not_end_what_it_asks_for_when_it_is_back(tiny_offer):
    fill.leave(visitor("returning"))
    assert answers(described(1, steps=9), visitor("returning"))[-1]["step"] == 9


def test_all_candidates_are_told_best_first(tiny_offer):
    *_, (answer, _, outcome) = fill.fill(described(candidates=4, steps=5), visitor())
    assert len(json.loads(answer)["candidates"]) == 4
    assert sorted(outcome.order) == [0, 1, 2, 3]
    ranks = np.argsort(np.argsort(outcome.result.context_loss)) + np.argsort(np.argsort(outcome.result.prior_loss))
    assert ranks[outcome.order[0]] == ranks.min()


def test_a_model_that_sees_the_picture_fills_in_four_ways_from_a_portrait_that_is_free(tmp_path, monkeypatch):
    comod = Inpainter(tiny_comod(), device="cpu")
    offer = models.Offer("comod-celeba-32", tmp_path, 32, "comod", "Faces")
    monkeypatch.setattr(models, "MODELS", {offer.name: offer})
    for module in ("page.models", "page.runs.search", "page.settings"):
        monkeypatch.setattr(f"{module}.model_named", lambda name: comod)
    assert offer.examples == [models.PORTRAIT]
    asked = json.loads(described(hole=masks.center(32), steps=2))
    asked["scene"] |= {"model": offer.name, "picture": "example:astronaut.jpg"}
    told = list(fill.fill(json.dumps(asked), visitor("comod")))
    assert json.loads(told[0][0])["text"] == "First proposal"
    outcome = told[-1][2]
    assert outcome.rows == 4 and len({image.tobytes() for image in outcome.result.images}) == 4


def test_examples_with_a_preset_hole_are_filled_once_and_photos_are_not_kept(tiny_offer):
    fill.EXAMPLES_FILLED.clear()
    asked = json.loads(described(steps=5))
    asked["scene"]["preset"] = "center"
    answers(json.dumps(asked))
    assert len(fill.EXAMPLES_FILLED) == 1
    assert [told["state"] for told in answers(json.dumps(asked | {"number": 2}))] == ["done"]
    fill.EXAMPLES_FILLED.clear()
    answers(described(3, steps=5))  # drawn
    assert not fill.EXAMPLES_FILLED


def test_everything_missing_is_answered_with_a_sample(tiny_offer):
    told = answers(described(effort="live", hole=np.ones((16, 16), bool)))
    assert told[-1]["state"] == "done" and "sample" in told[-1]["text"]


def test_nothing_missing_is_answered_with_one_sentence(tiny_offer):
    (told,) = answers(described(hole=np.zeros((16, 16), bool)))
    assert "Nothing is erased yet" in told["text"]


def test_a_live_fill_is_one_short_search_with_the_rest_as_set(tiny_offer):
    live = Choice.from_fields({"mode": "paper", "steps": 1500, "candidates": 4, "window": None}).resolved("tiny", True)
    assert live.candidates == 1 and live.settings.mode == "fast" and live.settings.steps <= 100
    assert live.settings.window is None


# Turns


def enter(line: turns.Turns, session: str, address: str = "a", number=None):
    context = line.visit(visitor(session, address), number)
    return context, context.__enter__()


def served(*asked: tuple[str, str, int]) -> dict[str, list[int]]:
    """The seconds of work after which each session's fills (session, address, seconds each) ended, in their order.

    All are in line before the first one begins to work; time passes with work alone.
    """
    now, ended, all_there = [0], {}, threading.Event()
    line_ = turns.Turns(clock=lambda: now[0])

    def fill_one(session: str, address: str, seconds: int) -> None:
        with line_.visit(visitor(session, address)) as visit:
            for _ in line_.wait(visit, math.inf if seconds > turns.SLICE else 1):
                pass
            all_there.wait()
            for _ in range(seconds):
                now[0] += 1
                line_.searches.give_way(visit)
            ended.setdefault(session, []).append(now[0])

    threads = [threading.Thread(target=fill_one, args=each) for each in asked]
    for number, thread in enumerate(threads):
        thread.start()
        while len(line_.searches._waiting) < number or line_.searches._running is None:
            time.sleep(0.001)
    all_there.set()
    for thread in threads:
        thread.join(timeout=60)
    return ended


def test_one_search_runs_at_a_time_and_turns_go_round_by_address_then_session():
    greedy = [("greedy", "a", 1)] * 3
    ended = served(("greedy", "a", 1), *greedy, ("other", "a", 1), ("honest", "b", 1))
    assert ended == {"greedy": [1, 4, 5, 6], "honest": [2], "other": [3]}


def test_twenty_visitors_beside_a_greedy_client_wait_three_times_the_median_of_those_without_it_at_most():
    honest = [(f"visitor {number}", f"10.0.0.{number}", 2) for number in range(20)]
    greedy = [(f"greedy {number % 8}", "a", 300) for number in range(turns.PER_ADDRESS)]
    without = [times[0] for times in served(*honest).values()]
    beside = served(*greedy, *honest)
    worst = max(beside[session][0] for session, *_ in honest)
    assert worst <= 3 * statistics.median(without)
    assert sum(map(len, beside.values())) == len(greedy) + len(honest)  # the greedy one is served as well, in the end


def test_few_long_searches_are_begun_at_once_and_each_address_has_one():
    now = [0]
    line_ = turns.Turns(clock=lambda: now[0])
    visits = [enter(line_, f"s{number}", address)[1] for number, address in enumerate("aabcde")]
    for visit in visits:
        visit.long = True
        line_.searches._waiting.append(visit)
    begun = []
    for _ in range(9):
        running = line_.searches._next()
        line_.searches._begin(running)
        begun += [running] if running not in begun else []
        line_.searches._running = None
        line_.searches._waiting.append(running)
    assert [visit.address for visit in begun] == ["a", "b", "c"]


def test_one_client_cannot_fill_the_line():
    line = turns.Turns()
    inside = [enter(line, "greedy") for _ in range(turns.PER_SESSION)]
    with pytest.raises(ValueError, match="fills waiting already"):
        enter(line, "greedy")
    inside += [enter(line, f"s{i}") for i in range(turns.PER_ADDRESS - turns.PER_SESSION)]
    with pytest.raises(ValueError, match="Too many fills"):
        enter(line, "another")
    assert enter(line, "honest", "b")
    inside[0][0].__exit__(None, None, None)
    assert enter(line, "another")


def test_a_client_that_leaves_gives_up_its_place(tiny_offer):
    run = fill.fill(described(1, steps=1500, mode="paper"), visitor("leaver"))
    next(run)
    next(run)
    fill.leave(visitor("leaver"))
    assert [item[0] for item in run] == [gr.skip()]
    assert not turns.TURNS._visits and turns.TURNS.searches._running is None


def answered(run) -> dict:
    """The last answer of a fill, which must come within a minute."""
    last = []
    thread = threading.Thread(target=lambda: last.extend(item[0] for item in run), daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive(), "it still waits for its turn"
    return json.loads(last[-1])


def test_a_fill_that_nobody_reads_on_holds_up_no_other(tiny_offer):
    searching = fill.fill(described(1, steps=1500, mode="paper"), visitor("gone"))
    while "Searching" not in next(searching)[0]:
        pass
    waiting = fill.fill(described(1, steps=1500, mode="paper"), visitor("also gone"))
    while '"waiting"' not in next(waiting)[0]:
        pass
    for gone in ("gone", "also gone"):
        fill.leave(visitor(gone))
    assert answered(fill.fill(described(1, steps=20, mode="paper"), visitor("next")))["state"] == "done"
    for run in (searching, waiting):
        run.close()


def test_a_comparison_that_nobody_reads_on_holds_up_no_other(tiny_offer):
    comparison = methods.compare(described(1), visitor("gone"))
    while "Running" not in next(comparison):
        pass
    assert answered(fill.fill(described(1, steps=20, mode="paper"), visitor("next")))["state"] == "done"
    comparison.close()


def test_a_fill_that_is_done_holds_up_no_other_even_before_its_last_answer_is_read(tiny_offer):
    done = fill.fill(described(1, steps=20, mode="paper"), visitor("slow"))
    while '"done"' not in next(done)[0]:
        pass
    assert answered(fill.fill(described(1, steps=30, mode="paper"), visitor("next")))["state"] == "done"
    done.close()


def test_a_switch_is_seen_by_another_process(tmp_path):
    switch = turns.StopSwitch(tmp_path / "switch")
    copy = pickle.loads(pickle.dumps(switch))
    assert not copy.is_set()
    switch.set()
    assert copy.is_set()


def test_a_stream_ends_with_the_result_of_the_steps_that_were_taken(tiny: Inpainter, pictures):
    hole, stop, items = masks.center(16), threading.Event(), []
    for item in search.stream(lambda callback: tiny(pictures, hole, steps=200, callback=callback), 200, stop):
        items.append(item)
        if isinstance(item, search.Preview) and item.step:
            stop.set()
    assert isinstance(items[-1], Result)
    assert items[0].step == 0 and items[-2].step == items[-1].steps < 200


def test_a_stream_raises_what_the_search_raises():
    def run(callback):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(search.stream(run, 10, threading.Event()))


VISIT = """
import psutil
from types import SimpleNamespace
from page.runs import turns
visitor = SimpleNamespace(session_hash="visitor", client=SimpleNamespace(host="1.2.3.4"), headers={})
process = psutil.Process()
with turns.Turns().visit(visitor):
    blocks = [bytes(100_000) for _ in range(2000)]  # each too small to have pages of its own
    before = process.memory_info().rss
    del blocks[:-1]
    print(before - process.memory_info().rss)  # pinned by the last one
print(before - process.memory_info().rss)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_the_memory_of_a_visit_goes_back_to_the_system():
    pytest.importorskip("psutil")
    run = subprocess.run([sys.executable, "-c", VISIT], capture_output=True, text=True, cwd=ROOT)  # a heap of its own
    assert run.returncode == 0, run.stderr
    during, after = map(int, run.stdout.split())
    assert during < 50e6
    assert after > 100e6


# Photos


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    for module in (framing, deliver):
        monkeypatch.setattr(module, "get_upload_folder", lambda: str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("size", "kept"), [((3000, 2500), 1024), ((60, 90), 60)], ids=["large ones are reduced", "small ones stay"]
)
def test_photos_are_kept_at_a_reduced_size_and_know_their_own(tmp_path, size, kept):
    Image.new("RGB", size).save(tmp_path / "photo.png")
    photo = store.PHOTOS.add(tmp_path / "photo.png")
    assert (photo.width, photo.height) == size and min(photo.pixels().shape[:2]) == kept
    assert store.PHOTOS.find(photo.token) is photo


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16", "CMYK"])
def test_a_photo_of_any_mode_is_reduced_as_it_looks(tmp_path, mode):
    grey = Image.fromarray(np.tile(np.linspace(0, 255, 3000).astype(np.uint8), (2200, 1)))
    image = grey.convert("I").point(lambda v: v * 257).convert("I;16") if mode == "I;16" else grey.convert(mode)
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    image.save(path)
    reduced, size = store.read_reduced(path)
    assert size == (3000, 2200) and reduced.mode == "RGB"
    assert abs(np.asarray(reduced)[:, -20:].mean() - 255) < 12 and np.asarray(reduced)[:, :20].mean() < 12


def test_a_photo_that_lies_on_its_side_is_upright(tmp_path):
    image = Image.new("RGB", (300, 200))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "photo.jpg", exif=exif)
    assert store.read_reduced(tmp_path / "photo.jpg")[1] == (200, 300)


def test_photos_beyond_the_limit_are_refused_before_they_are_decoded(tmp_path):
    Image.new("1", (9000, 8000)).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="9000x8000 pixels exceed this page's limit of 50 megapixels"):
        store.read_reduced(tmp_path / "photo.png")


def test_only_an_upload_can_be_brought(uploads, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.png"
    Image.new("RGB", (64, 64)).save(elsewhere)
    told = json.loads(framing.take_photo(json.dumps({"ticket": 1, "model": "x", "path": str(elsewhere)}), None))
    assert told == {"ticket": 1, "error": "The upload was not found: choose the picture again."}


def test_a_square_stays_inside_its_photo(tmp_path):
    photo = store.Photo("t", tmp_path, "a", 300, 200, tmp_path)
    assert photo.square([-5, 500, 100]) == Square(0, 100, 100)
    assert photo.square([0, 0, 9999]) == Square(0, 0, 200)
    assert photo.square(None) == Square(50, 0, 200)
    for corners in ("abc", [1, 2], [1, 2, "x"], [float("nan")] * 3, [1e400] * 3):
        with pytest.raises(ValueError, match="three numbers"):
            photo.square(corners)


def test_a_photo_that_was_cleared_away_gives_one_sentence(tmp_path):
    Image.new("RGB", (90, 60)).save(tmp_path / "photo.png")
    photo = store.PHOTOS.add(tmp_path / "photo.png")
    photo.reduced.unlink()
    with pytest.raises(ValueError, match="upload it again"):
        photo.crop(Square(0, 0, 60), 16)


# Outcomes


@pytest.fixture
def outcome(tiny, pictures) -> Outcome:
    """A finished run of two candidates."""
    shown = Scene("tiny", pictures[0], masks.center(16), Choice.from_fields({"steps": 4, "seed": 7, "candidates": 2}))
    result = tiny(np.stack([pictures[0]] * 2), shown.hole, shown.choice.rows())
    return Outcome("id", replace(shown, source="example:a.png"), result=result)


def test_what_a_photo_has_under_the_hole_does_not_reach_the_pixels_that_stay(tmp_path):
    random = np.random.default_rng(0)
    photo, hole = random.integers(0, 256, (100, 100, 3), dtype=np.uint8), masks.center(64)
    other = photo.copy()
    other[25:75, 25:75] = 255
    crops = []
    for number, pixels_ in enumerate((photo, other)):
        Image.fromarray(pixels_).save(tmp_path / f"{number}.png")
        crops.append(store.PHOTOS.add(tmp_path / f"{number}.png").crop(Square(0, 0, 100), 64, hole))
    assert (crops[0][~hole] == crops[1][~hole]).all()
    assert (crops[0][hole] != crops[1][hole]).any()  # the original is still there to be compared with


def test_each_candidate_is_the_search_that_its_seed_alone_would_be(tiny, outcome):
    for row, seed in enumerate((7, 8)):
        alone = tiny(outcome.scene.picture, outcome.scene.hole, steps=4, seed=seed)
        assert np.abs(alone.images[0].astype(int) - outcome.result.images[row]).max() <= 1


def told(uploads, outcome, what: str, scene: str = "id") -> dict:
    asked = {"ticket": 3, "what": what, "scene": scene, "chosen": 0}
    return json.loads(deliver.deliver(json.dumps(asked), outcome))


def test_the_best_file_is_the_picture_enlarged_or_the_photo_itself(uploads, outcome):
    name = told(uploads, outcome, "best")
    assert name["name"] == "a-filled.png" and Image.open(name["path"]).size == (64, 64)
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(photo).save(uploads / "photo.png")
    brought = store.PHOTOS.add(uploads / "photo.png")
    in_photo = replace(outcome, scene=replace(outcome.scene, photo=brought, square=Square(30, 10, 48)))
    filled = np.asarray(Image.open(told(uploads, in_photo, "best")["path"]))
    missing = np.zeros((60, 80), bool)
    missing[10 + 12 : 10 + 36, 30 + 12 : 30 + 36] = True
    assert (filled == photo)[~missing].all() and (filled != photo)[missing].mean() > 0.9
    assert deliver.view(in_photo, 0).shape == (48, 48, 3)


def test_the_archive_holds_every_candidate_and_the_settings(uploads, outcome):
    archive = zipfile.ZipFile(told(uploads, outcome, "all")["path"])
    names = archive.namelist()
    assert {f"candidate-{n}/filled-{kind}.png" for n in (1, 2) for kind in ("poisson", "overlay")} <= set(names)
    filled = np.asarray(Image.open(io.BytesIO(archive.read("candidate-1/filled-poisson.png"))))
    assert (filled == outcome.filled(0)).all()
    record = json.loads(archive.read("losses.json"))
    assert record["settings"]["steps"] == record["steps_done"] == 4
    assert sorted(each["seed"] for each in record["searches"]) == [7, 8]


def test_a_file_of_another_scene_is_not_delivered(uploads, outcome):
    assert "not filled yet" in told(uploads, outcome, "best", scene="other")["error"]
    assert "not filled yet" in told(uploads, None, "best")["error"]


def test_every_download_has_a_folder_that_nobody_else_reads(uploads, outcome):
    one, other = told(uploads, outcome, "best")["path"], told(uploads, outcome, "best")["path"]
    assert one != other and os.stat(os.path.dirname(one)).st_mode & 0o077 == 0


# Tabs


def test_the_details_belong_to_their_scene(outcome):
    html = details.show(outcome)
    assert 'data-scene="id"' in html and html.count("<tr>") == 3


def test_parts_differ_by_what_is_said(tiny, pictures, tiny_offer):
    *_, html = parts.compare(described(steps=5), visitor())
    assert html.count("class='pair'") == 4 and "grey levels when pasted" in html


@pytest.mark.parametrize("tab", [parts, methods])
def test_a_comparison_that_is_ended_early_says_so(tiny_offer, tab):
    running = tab.compare(described(1, steps=1500, mode="paper"), visitor(tab.__name__))
    while "Step" not in (shown := next(running)) and "Running" not in shown:
        pass
    fill.stop_run("2", visitor(tab.__name__))
    *_, html = running
    assert "Stopped after" in html and "closest</b>" not in html


def test_a_seam_is_measured_where_the_hole_begins():
    picture, hole = np.zeros((16, 16, 3), np.uint8), masks.center(16)
    assert parts.seam(picture, hole) == 0
    picture[hole] = 60
    assert parts.seam(picture, hole) == 60
    assert parts.change(picture, np.zeros_like(picture), hole) == 60
    assert parts.rim_box(np.ones((16, 16), bool))[0].stop <= 16


def test_a_context_encoder_is_compared_with_and_no_model_to_choose(tmp_path, monkeypatch):
    Inpainter(tiny_dcgan(), device="cpu").save_pretrained(tmp_path / "dcgan-tiny")
    offers = models.offers_in(tmp_path)
    monkeypatch.setattr(models, "MODELS", offers)
    with pytest.raises(ValueError, match="no trained network"):
        methods.context_encoder("dcgan-tiny")
    network = ContextEncoder(ContextEncoderConfig(image_size=16, bottleneck=8, channels=(16, 8)))
    network.save_pretrained(tmp_path / "context-encoder-tiny")
    assert methods.context_encoder("dcgan-tiny").config == network.config
    assert list(models.offers_in(tmp_path)) == ["dcgan-tiny"]


@pytest.mark.parametrize(("make", "refines"), [(tiny_dcgan, True), (tiny_comod, False)])
def test_only_searches_that_differ_are_compared(monkeypatch, make, refines):
    monkeypatch.setattr(models, "model_named", lambda name: Inpainter(make(), device="cpu"))
    assert ("Without refinement" in methods.searches("tiny")) == refines
    assert {"Latent search", "First proposal", "Without blending"} <= methods.searches("tiny").keys()


def test_the_comparison_marks_the_closest_at_the_end_and_says_what_was_left_out():
    picture, hole = np.zeros((16, 16, 3), np.uint8), masks.center(16)
    fillings = [methods.scored(name, picture + level, 0.01, picture, hole) for name, level in (("a", 9), ("b", 3))]
    forming, done = (methods.show(picture, hole, fillings, {"c": "it is <no> use."}, end) for end in (False, True))
    assert "closest" not in forming.replace("closer", "")
    assert "b <b>38.6 dB, closest</b>" in done and "a <b>29.0 dB</b>" in done
    assert "it is &lt;no&gt; use." in done


def test_faces_come_first_and_models_that_see_the_picture_before_those_that_do_not(tmp_path):
    for name, family, size in (
        ("dcgan-cars", "dcgan", 64),
        ("dcgan-celeba", "dcgan", 64),
        ("comod-celeba-128", "comod", 128),
    ):
        (tmp_path / name).mkdir()
        config = {"family": family, "image_size": size, "training": {"data": f"{name.split('-')[1]}64-train.zip"}}
        (tmp_path / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    offers = models.offers_in(tmp_path)
    assert list(offers) == ["comod-celeba-128", "dcgan-celeba", "dcgan-cars"]
    assert [offer.candidates for offer in offers.values()] == [4, 1, 1]
    assert offers["dcgan-cars"].subject == "Cars"


# Exploring


def test_random_codes_of_a_model_that_sees_the_picture_fill_the_hole_and_nothing_else(monkeypatch):
    model = Inpainter(tiny_comod(), device="cpu")
    monkeypatch.setattr(search, "model_named", lambda name: model)
    picture, hole = np.full((32, 32, 3), 90, np.uint8), masks.half(32)
    codes = model.model.sample_latents(3, torch.Generator().manual_seed(0)).numpy()
    first, second, _ = filled = search.generate("tiny", codes, picture, hole)
    assert (filled[:, ~hole] == 90).all() and (first != second).any()
    (alone,) = search.generate("tiny", codes[:1], picture, hole)
    assert np.abs(alone.astype(int) - first).max() <= 1  # rounding


def test_exploring_fills_the_hole_or_says_that_there_is_none_and_shows_samples_of_other_models(tiny_offer, monkeypatch):
    monkeypatch.setattr(explore, "model_named", models.model_named)
    assert "Samples of tiny" in explore.show(described(), 0)
    fills = SimpleNamespace(model=SimpleNamespace(conditional=True))
    monkeypatch.setattr(explore, "model_named", lambda name: fills)
    shown = explore.show(described(), 0)
    assert "The hole, filled by tiny" in shown and "data-scene=" in shown  # greyed out once the scene changes
    assert "Nothing is erased" in explore.show(described(hole=np.zeros((16, 16), bool)), 0)


# Code


CHOICES = {"steps": 20, "seed": 5}


def of_preset(picture, preset: str, hole=None, **settings) -> Scene:
    kind, _, which = preset.partition(":")
    size = len(picture)
    if hole is None:
        hole = masks.half(size, which) if kind == "half" else masks.named(kind or "center", size, int(which or 0))
    return Scene("tiny", picture, hole, Choice.from_fields(CHOICES | settings), preset, "example:a.png")


@pytest.mark.parametrize("preset", ["center", "half:top", "pattern:2", "random:1", ""])
@pytest.mark.parametrize("candidates", [1, 4])
def test_the_snippets_are_valid(tiny_offer, pictures, preset, candidates):
    shown = of_preset(pictures[0], preset, candidates=candidates, mode="paper", blend="overlay", window=None)
    compile(snippets.python(shown), "snippet", "exec")
    compile(snippets.client(shown, "http://127.0.0.1:7860/"), "snippet", "exec")
    lines = snippets.command(shown).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line)[3:] for line in lines if not line.startswith("#")]
    assert len(commands) == candidates
    for number, command in enumerate(commands):
        arguments = parser().parse_args(command)
        assert (arguments.mode, arguments.steps, arguments.seed) == ("paper", 20, 5 + number)
        assert arguments.mask == "mask.png"


@pytest.mark.parametrize("preset", ["half:top", ""])
def test_the_python_snippet_does_what_the_page_does_and_writes_the_mask_for_the_others(
    tiny_offer, tiny, pictures, tmp_path, monkeypatch, preset
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inpainter, "from_pretrained", lambda name: tiny)
    (tmp_path / "hub_models" / "tiny" / "examples").mkdir(parents=True)
    Image.fromarray(pictures[0]).save("hub_models/tiny/examples/a.png")
    drawn = None if preset else masks.pattern(16, seed=9)
    shown = of_preset(pictures[0], preset, drawn)
    exec(snippets.python(shown), {})
    expected = tiny(pictures[0], shown.hole, steps=20, seed=5)
    assert (np.asarray(Image.open("filled-1.png")) == expected.images[0]).all()
    assert (np.asarray(Image.open("mask.png")) == shown.hole).all()


def test_the_snippets_of_a_model_without_examples_read_pictures_that_are_there(tiny, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inpainter, "from_pretrained", lambda name: tiny)
    for module in ("page.models", "page.settings"):
        monkeypatch.setattr(f"{module}.model_named", lambda name: tiny)
    offers = {"tiny": models.Offer("tiny", tmp_path, 16, "dcgan", "Faces")}
    monkeypatch.setattr(models, "MODELS", offers)
    portrait = replace(of_preset(pictures[0], "center"), source=f"example:{models.PORTRAIT.name}")
    path = models.PORTRAIT.relative_to(ROOT).as_posix()
    texts = [snippets.python(portrait), snippets.command(portrait), snippets.client(portrait, "http://127.0.0.1/")]
    assert all(path in text for text in texts)
    offers["tiny"] = models.Offer("tiny", tmp_path, 16, "dcgan", "Cars")
    models.sample_picture.cache_clear()
    sample = of_preset(models.sample_picture("tiny"), "center")
    sample = replace(sample, source=f"example:{scene.SAMPLE}")
    exec(snippets.python(sample), {})
    assert (np.asarray(Image.open("sample.png")) == sample.picture).all()
    expected = tiny(sample.picture, sample.hole, steps=20, seed=5)
    assert (np.asarray(Image.open("filled-1.png")) == expected.images[0]).all()
    assert "sample.png" in snippets.command(sample) and "sample.png" in snippets.client(sample, "http://127.0.0.1/")
    models.sample_picture.cache_clear()


@pytest.mark.parametrize("name", ["photo.png", "sample.png"])
def test_the_python_snippet_for_a_photo_fills_it_at_its_full_resolution(
    tiny_offer, tiny, pictures, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inpainter, "from_pretrained", lambda model: tiny)
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(photo).save(name)
    brought = store.PHOTOS.add(tmp_path / name)
    exec(snippets.python(replace(of_preset(pictures[0], "center"), photo=brought, square=Square(30, 10, 48))), {})
    filled = np.asarray(Image.open("filled-1.png"))
    missing = np.zeros((60, 80), bool)
    missing[10 + 12 : 10 + 36, 30 + 12 : 30 + 36] = True
    assert (filled == photo)[~missing].all() and (filled != photo)[missing].mean() > 0.9
    assert Image.open("square.png").size == (48, 48)


# The server


def test_what_an_earlier_process_left_is_removed_and_the_folder_is_its_own(tmp_path):
    left, running = tmp_path / f"{storage.PREFIX}left", tmp_path / f"{storage.PREFIX}running"
    for folder in (left, running):
        folder.mkdir()
        (folder / "face.png").write_bytes(b"private")
    held = storage._locked(running, wait=False)
    made = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import os; from page import storage; folder = storage.own_files();"
            "print(oct(os.stat(folder).st_mode & 0o777), folder)",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"INPAINTER_FILES": str(tmp_path)},
    ).stdout.split()
    os.close(held)
    assert not left.exists() and (running / "face.png").exists()
    assert made[0] == "0o700" and not os.path.exists(made[1])  # it goes with its process


def test_every_file_goes_after_a_day_whoever_wrote_it_and_the_oldest_when_there_are_too_many(tmp_path):
    for age, name in enumerate(("upload/a.png", "upload/token.png", "delivered/b.zip", "tmpbroken", "today/c.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(100))
        written = time.time() - (0 if name == "today/c.png" else storage.AGE - 1000 + age)
        os.utime(tmp_path / name, (written, written))
    storage.sweep(tmp_path, most=300)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {"upload", "upload/a.png", "upload/token.png", "today", "today/c.png"}
    storage.sweep(tmp_path, age=storage.AGE - 2000)
    assert {path.name for path in tmp_path.rglob("*")} == {"today", "c.png"}


def test_a_visit_that_is_not_let_in_leaves_no_file():
    line_ = turns.Turns()
    inside = [enter(line_, "greedy") for _ in range(turns.PER_SESSION)]
    with pytest.raises(ValueError, match="fills waiting already"):
        enter(line_, "greedy")
    assert len(os.listdir(line_._folder.name)) == len(inside) == turns.PER_SESSION


def test_what_an_address_leaves_unread_is_bounded_and_those_who_listen_are_kept():
    class FakeQueue:
        blocks = SimpleNamespace(state_holder=StateHolder())

        def __init__(self):
            self.pending_messages_per_session, self.pending_event_ids_session = {}, {}

        async def push(self, body, request, username):
            box = self.pending_messages_per_session.setdefault(body.session_hash, asyncio.Queue())
            for _ in range(0 if body.session_hash == "listens" else 40):
                box.put_nowait("told")

        def send_message(self, event, message):
            if event.alive:
                self.pending_messages_per_session[event.session_hash].put_nowait(message)

        async def clean_events(self, session_hash):
            pass

    async def ask(session):
        await queue.push(SimpleNamespace(session_hash=session), visitor(session), None)

    async def ask_all():
        await ask("listens")
        for number in range(100):
            await ask(f"deaf{number}")

    queue = FakeQueue()
    mailboxes.Mailboxes(queue)
    asyncio.run(ask_all())
    boxes = queue.pending_messages_per_session
    assert sum(box.qsize() for box in boxes.values()) <= mailboxes.ADDRESS_MOST + 40 and "listens" in boxes
    event = SimpleNamespace(session_hash="listens", alive=True)
    for _ in range(2 * mailboxes.SESSION_MOST):
        queue.send_message(event, "told")
    assert boxes["listens"].qsize() == mailboxes.SESSION_MOST and not event.alive


def test_a_session_is_forgotten_when_nobody_comes_back_to_it_and_not_before():
    with gr.Blocks() as page:
        outcome = gr.State()
    queue = page._queue
    holder = StateHolder()
    holder.set_blocks(page)
    hours = {"closed": 0.2, "just closed": 0.1, "open": 20, "forgotten tab": 30, "program": 0.2, "busy": 0.2}
    for session in hours:
        state = holder[session]
        if session != "program":  # it has stored nothing
            state[outcome._id] = "a fill"
        state.is_closed = "closed" in session or session == "busy"
    for session, ago in hours.items():
        holder.time_last_used[session] -= datetime.timedelta(hours=ago)
    queue.pending_event_ids_session = {"busy": {"a search"}, "closed": set()}
    sessions.forget_unused(queue)
    assert set(holder.session_data) == set(holder.time_last_used) == {"just closed", "open", "busy"}
    assert holder["open"][outcome._id] == "a fill"


def test_pictures_handed_to_gradio_never_share_a_file():
    picture = np.zeros((8, 8, 3), np.uint8)
    assert pixels.of_its_own(picture).info != pixels.of_its_own(picture).info


def test_what_python_noticed_is_not_told_in_its_words():
    try:
        1 <= "a"  # noqa: B015
    except TypeError as error:
        assert "wrong type" in errors.sentence(error)
    assert errors.sentence(ValueError("Ours.")) == "Ours."


def test_zero_gpu_decorates_and_anything_else_does_not(monkeypatch):
    def function():
        return 1

    assert gpu.on_gpu(function) is function
    monkeypatch.setattr(gpu, "ZERO_GPU", True)
    monkeypatch.setattr(gpu, "spaces", SimpleNamespace(GPU=lambda f: lambda: f() + 1))
    assert gpu.on_gpu(function)() == 2


def test_a_description_keeps_its_id_and_number():
    assert (Asked.parse(described(7)).id, Asked.parse(described(7)).number) == ("s7", 7)
