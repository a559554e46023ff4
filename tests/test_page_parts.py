"""The page's own parts, without a browser."""

import shlex
import threading

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="Gradio is not installed")

from inpainter import Inpainter, Result, masks
from inpainter.__main__ import parser
from page import editor, snippets
from page.runs import Preview, StopSwitches, stream

CHOICES = snippets.Choices("dcgan-celeba", "center", 0, "left", 100, 0.003, 0.03, 7, "l1", 2, 5)


def drawn(layers: list[np.ndarray]) -> editor.EditorValue:
    """An editor's value as Gradio hands it over."""
    return {"background": np.zeros((512, 512, 4), np.uint8), "layers": layers, "composite": None}


@pytest.mark.parametrize("name", masks.NAMES)
def test_the_editor_gives_back_the_hole_it_was_shown(name):
    hole = masks.named(name, 64, seed=1)
    value = editor.show(np.zeros((64, 64, 3), np.uint8), hole)
    assert (editor.hole_of(drawn([np.asarray(layer) for layer in value["layers"]]), 64) == hole).all()


def test_a_pixel_is_missing_as_soon_as_part_of_it_is_drawn_over_in_any_layer():
    first, second = np.zeros((2, 512, 512, 4), np.uint8)
    first[80, 88, 3] = 255
    second[0:8, 0:8, 3] = 255
    hole = editor.hole_of(drawn([first, second]), 64)
    assert hole[10, 11] and hole[0, 0] and hole.sum() == 2


@pytest.mark.parametrize("value", [None, drawn([])])
def test_no_drawing_is_no_hole(value):
    assert not editor.hole_of(value, 64).any()


def test_pictures_handed_to_gradio_never_share_a_file():
    picture = np.zeros((8, 8, 3), np.uint8)
    assert editor.shown(picture).info != editor.shown(picture).info


def test_the_crop_moves_over_the_whole_photo():
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[50:, 150:] = 255
    assert editor.crop(photo, 16, zoom=2, across=100, down=100).min() == 255
    assert editor.crop(photo, 16, zoom=2, across=0, down=0).max() == 0


def test_large_photos_are_kept_small_and_small_ones_as_they_are(tmp_path):
    for size, kept in (((3000, 2500), (1024, 1229)), ((60, 90), (90, 60))):
        Image.new("RGB", size).save(tmp_path / "photo.png")
        assert editor.read_photo(str(tmp_path / "photo.png")).shape[:2] == kept


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
    assert (tiny(pictures, hole, steps=previews[-1].step).images == result.images).all()
    assert (previews[-1].images == result.images).all()


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
    choices = snippets.Choices(**{**vars(CHOICES), "preset": preset, "window": None})
    compile(snippets.python(choices, 64), "snippet", "exec")
    compile(snippets.client(choices, "http://127.0.0.1:7860/"), "snippet", "exec")
    command = shlex.split(snippets.command(choices).replace("\\\n", " "), comments=True)
    arguments = parser().parse_args(command[3:])
    assert (arguments.steps, arguments.seed, arguments.starts) == (100, 5, 2)
    assert arguments.mask == (preset or "mask.png")


def test_the_python_snippet_does_what_the_page_does(tiny, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inpainter, "from_pretrained", lambda name: tiny)
    Image.fromarray(pictures[0]).save("photo.png")
    exec(snippets.python(CHOICES, 16), {})
    expected = tiny(pictures[0], masks.center(16), steps=100, seed=5, starts=2)
    assert (np.asarray(Image.open("filled.png")) == expected.images[0]).all()
