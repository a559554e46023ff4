"""The page in a real browser.

Opening it takes some seconds, so tests share a page where what came before cannot matter. INPAINTER_SEEDS says how many
random visitors try it (2), and with more than 2 every example is clicked first on a page of its own.
"""

import base64
import io
import os
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from page_server import EXAMPLES, page_server
from PIL import Image

from benchmarks.serving import CHROMIUM, CHROMIUM_ARGS
from inpainter import masks

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("gradio", reason="Gradio is not installed")

expect = playwright.expect
expect.set_options(timeout=60_000)  # a busy machine is slow
SEEDS = int(os.environ.get("INPAINTER_SEEDS", 2))
ACTIONS = 30
AXE = Path(__file__).parent / "assets" / "axe.min.js"
SIZE = {"width": 1280, "height": 1000}


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with page_server(tmp_path_factory.mktemp("page")) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """A browser context: pages opened in it share a cache."""
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        except playwright.Error as error:
            pytest.skip(f"no Chromium to drive: install chromium, or run `playwright install chromium` ({error})")
        context = browser.new_context(viewport=SIZE)
        context.set_default_timeout(90_000)  # a busy machine is slow
        yield context
        browser.close()


def opened(address: str, browser, query: str = ""):
    page = browser.new_page()
    page.goto(address + query)
    page.wait_for_selector("#stage[data-state=done], #stage[data-state=outdated], #stage[data-state=empty]")
    return page


@pytest.fixture
def fresh(address, browser):
    """A page of its own."""
    page = opened(address, browser)
    yield page
    page.close()


@pytest.fixture(scope="module")
def shared_page(address, browser):
    page, errors = opened(address, browser), []
    page.on("pageerror", lambda error: errors.append(error.stack))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def page(shared_page):
    """The shared page: live, with the first example and its centre missing, filled."""
    page = shared_page
    page.set_viewport_size(SIZE)
    page.evaluate(
        """() => { const page = inpainter; page.live = true; document.querySelector('#live').checked = true;
        page.setDivider(0.5); page.setBrush(8);
        page.change({...structuredClone(page.config.first)}); }"""
    )
    settle(page)
    return page


def state(page) -> dict[str, str]:
    return page.evaluate("() => ({...document.querySelector('#stage').dataset})")


def settle(page, wanted: tuple[str, ...] = ("done", "outdated", "empty")) -> str:
    """Waits until nothing is under way, and returns how it ended."""
    page.wait_for_function(
        "wanted => wanted.includes(document.querySelector('#stage').dataset.state)", arg=list(wanted)
    )
    return state(page)["state"]


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


def hole(page) -> np.ndarray:
    flat = np.array(page.evaluate("() => Array.from(inpainter.hole)"), dtype=bool)
    return flat.reshape(2 * (int(len(flat) ** 0.5),))


def filled(page) -> np.ndarray:
    return pixels(page.evaluate("() => inpainter.answer.candidates[inpainter.chosen].filled"))


def picture(page) -> np.ndarray:
    """The example of the scene, by its file."""
    name = page.evaluate("() => inpainter.scene.picture.slice('example:'.length)")
    return np.asarray(Image.open(next(path for path in EXAMPLES if path.name == name)).convert("RGB"))


def assert_belongs(page) -> None:
    """What is shown is of the scene that is shown, or is marked out of date."""
    settle(page)
    now, parts = page.evaluate(
        """() => [{...document.querySelector('#stage').dataset, id: inpainter.id},
        [...document.querySelectorAll('.of-scene')].map(e => [e.dataset.scene, e.matches('.stale')])]"""
    )
    assert now["scene"] == now["id"]
    if now["state"] == "done":
        assert now["result"] == now["scene"]
        if page.evaluate("() => inpainter.scene.model") == "dcgan-celeba":
            original, missing = picture(page), hole(page)
            assert (filled(page) == original)[~missing].all() and missing.any()
    elif now["state"] == "outdated":
        assert now["result"] in ("", now["scene"])
    for id, stale in parts:
        assert stale == (id != now["scene"])


def example(page, number: int):
    return page.locator("#examples input").nth(number)


def draw(page, down: float = 0.5) -> None:
    """A stroke from left to right around the middle; `down` is where, from 0 at the top to 1."""
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * down
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=6)
    page.mouse.up()


def set_live(page, on: bool) -> None:
    page.locator("#live").set_checked(on)


# Opening


def test_it_opens_with_a_filled_example_without_an_error_and_asks_nothing_of_other_hosts(address, browser):
    page, wrong = browser.new_page(), []
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", lambda response: response.status >= 400 and wrong.append(response.url))
    page.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or wrong.append(r.url))
    page.goto(address)
    page.wait_for_selector("#stage[data-state=done]")
    assert_belongs(page)
    for part in ("#canvas", "#run", "#divider", "#examples", "#presets", "#status"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= SIZE["height"], part
    page.close()
    assert wrong == []


@pytest.mark.parametrize("number", range(1, 8) if SEEDS > 2 else (1, 5))
def test_an_example_that_is_clicked_first_is_filled(fresh, number):
    example(fresh, number).check()
    assert settle(fresh, ("done",)) == "done"
    assert (picture(fresh) == np.asarray(Image.open(EXAMPLES[number]).convert("RGB"))).all()
    assert_belongs(fresh)


def test_a_link_opens_the_same_scene(page, address, browser):
    example(page, 3).check()
    draw(page, 0.1)
    settle(page, ("done",))
    other = opened(address, browser, page.evaluate("() => new URL(inpainter.link()).search"))
    settle(other, ("done",))
    assert (hole(other) == hole(page)).all() and state(other)["scene"] == state(page)["scene"]
    assert_belongs(other)
    other.close()


def test_a_link_opens_with_its_settings_in_the_fields_and_its_filling_in_sight(page, address, browser):
    page.evaluate("""() => inpainter.change({hole: inpainter.config.holes[64]['half:left'], preset: 'half:left',
        settings: {steps: 20, window: null, seed: 3}})""")
    settle(page, ("done",))
    query = page.evaluate("() => inpainter.link()").split("/")[-1]
    other = opened(address, browser, query)
    settle(other, ("done",))
    other.locator("#settings button").first.click()
    expect(other.get_by_label("All equal (2016)")).to_be_checked()
    expect(other.get_by_label("Search seed")).to_have_value("3")
    assert other.evaluate("() => inpainter.view.divider") < 0.5
    other.get_by_label("Paste", exact=True).check()
    other.wait_for_function("() => inpainter.scene.settings.blend === 'overlay'")
    assert other.evaluate("() => inpainter.scene.settings") == {
        "steps": 20, "window": None, "seed": 3, "blend": "overlay"
    }  # fmt: skip
    other.close()


def test_the_filling_of_the_left_half_is_not_hidden_by_the_divider(page):
    at = page.locator("#divider")
    page.locator("input[name=preset][value=half]").check()
    assert at.input_value() == "25"
    at.fill("0")
    page.locator("input[name=preset][value=center]").check()
    assert at.input_value() == "0"  # as left by the visitor


# One chain of events


def test_an_example_clicked_after_a_run_is_filled(page):
    page.locator("#run").click()
    settle(page, ("done",))
    assert state(page)["effort"] == "run"
    example(page, 2).check()
    settle(page, ("done",))
    assert state(page)["effort"] == "live"
    assert_belongs(page)


def test_an_example_clicked_during_a_run_ends_it_and_is_filled(page):
    page.evaluate("() => inpainter.change({settings: {mode: 'paper', steps: 1500}})")
    page.locator("#run").click()
    page.wait_for_function("() => inpainter.answer?.step > 0 && inpainter.effort === 'run'")
    begun = time.monotonic()
    example(page, 4).check()
    settle(page, ("done",))
    assert time.monotonic() - begun < 30  # and not after the 1500 steps of the other
    assert_belongs(page)


def test_without_live_a_change_is_marked_out_of_date_and_run_fills_it(page):
    set_live(page, False)
    draw(page, 0.1)
    assert settle(page) == "outdated"
    expect(page.locator("#stage .badge")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("Out of date")
    expect(page.locator("#details .of-scene")).to_have_class("of-scene stale")
    assert page.locator("#download").is_disabled()
    example(page, 6).check()
    assert settle(page) == "outdated"
    assert_belongs(page)
    page.locator("#run").click()
    settle(page, ("done",))
    assert_belongs(page)


def test_the_model_can_be_switched_in_mid_fill(page):
    page.locator("#run").click()
    page.locator("input[name=subject][value=tiny]").check()
    settle(page, ("done",))
    assert filled(page).shape == (16, 16, 3)
    assert (hole(page) == masks.center(16)).all()
    page.locator("input[name=subject][value=Faces]").check()
    settle(page, ("done",))
    assert_belongs(page)


def test_stop_keeps_what_was_found_so_far(page):
    page.evaluate("() => inpainter.change({settings: {mode: 'paper', steps: 1500}})")
    page.locator("#run").click()
    page.wait_for_function("() => inpainter.progress.includes('of 1500')")
    page.locator("#stop").click()
    settle(page, ("done",))
    expect(page.locator("#status")).to_contain_text("stopped after")
    assert_belongs(page)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_after_any_actions_the_result_belongs_to_the_scene_or_is_out_of_date(page, seed):
    draws = random.Random(seed)
    kinds = ("center", "pattern", "random", "half")
    actions = {
        "example": lambda: example(page, draws.randrange(page.locator("#examples input").count())).check(),
        "preset": lambda: page.locator(f"input[name=preset][value={draws.choice(kinds)}]").check(),
        "stroke": lambda: draw(page, draws.random()),
        "run": lambda: page.evaluate("() => inpainter.run()"),
        "stop": lambda: page.evaluate("() => inpainter.stop()"),
        "live": lambda: set_live(page, draws.random() < 0.6),
        "undo": lambda: page.evaluate("() => inpainter.undo()"),
        "clear": lambda: page.locator("#clear").click(),
        "model": lambda: page.locator(f"input[name=subject][value={draws.choice(('tiny', 'Faces'))}]").check(),
        "seed": lambda: page.evaluate("seed => inpainter.change({settings: {seed}})", draws.randrange(3)),
    }
    for _ in range(ACTIONS):
        name = draws.choice(list(actions))
        actions[name]()
        if draws.random() < 0.3:  # most follow at once
            assert_belongs(page)
    assert_belongs(page)


def test_a_visitor_who_leaves_lets_the_next_one_run(address, browser, page):
    leaver = opened(address, browser)
    leaver.evaluate("() => inpainter.change({settings: {mode: 'paper', steps: 1500, candidates: 6}})")  # minutes
    leaver.evaluate("() => inpainter.run()")
    leaver.wait_for_function("() => inpainter.answer?.step > 0 && inpainter.effort === 'run'")
    leaver.close()
    begun = time.monotonic()
    draw(page, 0.1)
    settle(page, ("done",))
    assert time.monotonic() - begun < 60


# Drawing


def test_a_stroke_is_what_gets_filled_and_the_known_pixels_are_the_pictures(page):
    page.locator("#clear").click()
    assert settle(page) == "empty"
    draw(page)
    settle(page, ("done",))
    rows, columns = np.nonzero(hole(page))
    assert 10 < len(rows) < 64 * 64 / 4 and np.ptp(columns) > np.ptp(rows)
    assert abs(rows.mean() - 31.5) < 2 and abs(columns.mean() - 31.5) < 2
    assert_belongs(page)


def test_undo_redo_and_brush_size_by_keyboard_and_a_hole_without_a_mouse(page):
    before = hole(page)
    page.locator("#canvas").focus()
    for key in ("ArrowUp",) * 6 + (" ",):
        page.keyboard.press(key)
    drawn = hole(page)
    assert (drawn & ~before).any() and (drawn[before]).all()
    page.keyboard.press("Control+z")
    assert (hole(page) == before).all()
    page.keyboard.press("Control+Shift+z")
    assert (hole(page) == drawn).all()
    size = page.evaluate("() => inpainter.view.brush")
    page.keyboard.press("]")
    assert page.evaluate("() => inpainter.view.brush") > size
    settle(page, ("done",))


@pytest.mark.parametrize("key", ["Alt+ArrowLeft", "Control+ArrowLeft", "Meta+["])
def test_the_browsers_own_shortcuts_are_left_to_it(page, key):
    *modifiers, name = key.split("+")
    assert page.evaluate(
        """([key, modifiers]) => document.querySelector('#canvas').dispatchEvent(new KeyboardEvent('keydown', {
        key, bubbles: true, cancelable: true, altKey: modifiers.includes('Alt'),
        ctrlKey: modifiers.includes('Control'), metaKey: modifiers.includes('Meta')}))""",
        [name, modifiers],
    )


def test_a_second_finger_neither_draws_nor_loses_the_stroke(page):
    page.locator("#clear").click()
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": number}
            for number, (x, y) in enumerate(points)
        ]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    client = page.context.new_cdp_session(page)
    touch("touchStart", (0.2, 0.2))
    touch("touchMove", (0.5, 0.2))
    touch("touchStart", (0.5, 0.2), (0.5, 0.9))
    touch("touchMove", (0.8, 0.2), (0.6, 0.9))
    touch("touchEnd")
    rows = np.flatnonzero(hole(page).any(axis=1))
    columns = np.flatnonzero(hole(page).any(axis=0))
    assert rows.max() < 32 and columns.min() < 16 and columns.max() > 48


def test_the_hole_keeps_thin_lines_when_the_model_is_smaller_and_undo_those_of_the_larger(fresh):
    fresh.locator("#clear").click()
    fresh.evaluate(
        "() => { const hole = inpainter.hole.slice(); hole.fill(1, 13 * 64, 14 * 64); inpainter.commit(hole); }"
    )
    fresh.locator("input[name=subject][value=tiny]").check()
    assert (np.flatnonzero(hole(fresh).all(axis=1)) == [3]).all() and hole(fresh).sum() == 16
    assert fresh.locator("#undo").is_disabled()
    fresh.evaluate("() => inpainter.undo()")
    assert hole(fresh).sum() == 16
    fresh.locator("input[name=subject][value=Faces]").check()
    fresh.locator("#undo").click()
    assert not hole(fresh).any()


def test_a_model_of_another_size_shows_its_own_example_of_that_name(fresh):
    fresh.evaluate(
        """() => { const {models} = inpainter.config, [name] = Object.keys(models['dcgan-celeba'].examples);
        models.tiny.examples = {[name]: Object.values(models.tiny.examples)[0]}; inpainter.live = false; }"""
    )
    fresh.locator("input[name=subject][value=tiny]").check()
    expected = fresh.evaluate("() => Object.values(inpainter.config.models.tiny.examples)[0]")
    fresh.wait_for_function(
        """colour => { inpainter.view.original = true; inpainter.draw();
        const shown = document.querySelector('#canvas').getContext('2d').getImageData(5, 5, 1, 1).data;
        return colour.every((level, i) => level === shown[i]); }""",
        arg=pixels(expected)[0, 0].tolist(),
        timeout=10_000,
    )


def test_arrow_keys_go_from_one_choice_to_the_next(page):
    example(page, 0).focus()
    page.keyboard.press("ArrowRight")
    assert example(page, 1).is_checked()
    settle(page, ("done",))
    page.locator("input[name=preset][value=center]").focus()
    page.keyboard.press("ArrowRight")
    settle(page, ("done",))
    assert (hole(page) == masks.pattern(64, seed=0)).all()
    assert_belongs(page)


def test_what_is_put_back_is_known_again(page):
    page.locator("#eraser").click()
    draw(page)
    page.locator("#eraser").click()
    settle(page, ("done",))
    assert not hole(page)[31:33, 28:36].any() and hole(page)[20].any()
    assert_belongs(page)


def test_the_original_is_shown_while_the_button_is_held(page):
    shown = "() => document.querySelector('#canvas').toDataURL()"
    page.evaluate("() => inpainter.setDivider(0)")
    page.wait_for_timeout(100)
    before = page.evaluate(shown)
    page.locator("#original").hover()
    page.mouse.down()
    page.wait_for_function(f"before => ({shown})() !== before", arg=before)
    page.mouse.up()
    page.wait_for_function(f"before => ({shown})() === before", arg=before)


def test_everything_erased_is_answered_live_with_a_sample(page):
    page.locator("#clear").click()
    page.locator("#invert").click()
    settle(page, ("done",))
    expect(page.locator("#status")).to_contain_text("sample of the model")
    assert hole(page).all()


def test_nothing_erased_gives_one_sentence(page):
    page.locator("#clear").click()
    page.locator("#run").click()
    expect(page.locator("#status")).to_contain_text("Nothing is erased yet")


def test_a_mask_file_makes_the_hole_and_can_be_inverted(page, tmp_path):
    mask = np.zeros((128, 128), dtype=np.uint8)
    mask[16:40, 60:100] = 255
    mask[100:110, 100:110] = 100  # ringing of a JPEG: not white
    Image.fromarray(mask).save(tmp_path / "mask.png")
    page.locator("#mask-file").set_input_files(tmp_path / "mask.png")
    page.wait_for_function("() => inpainter.hole[8 * 64 + 30] === 1 && inpainter.hole[0] === 0")
    expected = mask[::2, ::2] >= 128
    assert (hole(page) == expected).all()
    page.locator("#invert").click()
    settle(page, ("done",))
    assert (hole(page) == ~expected).all()
    assert_belongs(page)


# One's own picture


def upload(page, path) -> None:
    page.locator("#upload-file").set_input_files(path)


def test_what_is_said_of_an_upload_stays_while_a_fill_goes_on(page, tmp_path):
    (tmp_path / "photo.png").write_text("This is no picture.")
    page.evaluate("() => inpainter.change({settings: {mode: 'paper', steps: 1500}})")
    page.locator("#run").click()
    page.wait_for_function("() => inpainter.answer?.step > 0 && inpainter.effort === 'run'")
    upload(page, tmp_path / "photo.png")
    expect(page.locator("#status.failed")).to_contain_text("not an image")
    step = page.evaluate("() => inpainter.answer.step")
    page.wait_for_function("step => inpainter.answer.step > step", arg=step)
    expect(page.locator("#status.failed")).to_contain_text("not an image")
    page.locator("#stop").click()


def test_what_is_said_of_a_failed_fill_goes_when_one_succeeds(page):
    page.evaluate(
        "() => inpainter.hear('answer', JSON.stringify({id: inpainter.id, state: 'failed', text: 'No luck.'}))"
    )
    expect(page.locator("#status.failed")).to_contain_text("No luck.")
    page.evaluate("() => inpainter.ask('live')")
    settle(page, ("done",))
    expect(page.locator("#status")).not_to_contain_text("No luck.")


def test_an_upload_is_whole_and_undo_brings_the_hole_back(page, tmp_path):
    before = hole(page)
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "photo.png")
    upload(page, tmp_path / "photo.png")
    page.wait_for_function("() => inpainter.scene.picture.startsWith('photo:')")
    assert not hole(page).any()
    page.locator("#undo").click()
    assert (hole(page) == before).all()


def test_a_mask_of_the_photos_shape_is_framed_like_the_photo(page, tmp_path):
    Image.new("RGB", (200, 400), "gray").save(tmp_path / "photo.png")
    upload(page, tmp_path / "photo.png")
    page.wait_for_function("() => inpainter.scene.picture.startsWith('photo:')")
    page.evaluate("() => inpainter.change({square: [72, 200, 128]})")
    mask = np.zeros((800, 400), np.uint8)  # twice the photo's size
    mask[400 + 16 : 400 + 48, 144 + 64 : 144 + 128] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    page.locator("#mask-file").set_input_files(tmp_path / "mask.png")
    page.wait_for_function("() => inpainter.hole.some((missing) => missing)")
    expected = mask[400:656:4, 144:400:4] > 0
    assert (hole(page) == expected).all()
    small = np.zeros((64, 64), np.uint8)  # of the hole's own size, such as a mask that the page has delivered
    small[:8] = 255
    Image.fromarray(small).save(tmp_path / "mask.png")
    page.locator("#mask-file").set_input_files(tmp_path / "mask.png")
    page.wait_for_function("() => inpainter.hole[0] === 1")
    assert (hole(page) == (small > 0)).all()


def test_a_face_in_a_photo_is_found_filled_and_delivered_at_full_resolution(page, tmp_path):
    photo = Image.new("RGB", (1500, 1200), "gray")
    face = Image.open(EXAMPLES[0]).convert("RGB").resize((600, 600), Image.Resampling.BICUBIC)
    photo.paste(face, (700, 300))
    photo.save(tmp_path / "me #1 %41.png")
    upload(page, tmp_path / "me #1 %41.png")
    expect(page.locator("#note")).to_contain_text("1500x1200")
    expect(page.locator("#note")).to_contain_text("face was found")
    assert settle(page) == "empty"  # a new picture begins whole
    draw(page)
    settle(page, ("done",))
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "me #1 %41-filled.png"
    delivered, photo = np.asarray(Image.open(download.value.path())), np.asarray(photo)
    changed = (delivered != photo).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert delivered.shape == photo.shape and 0.001 < changed.mean() < 0.1
    assert columns.min() > 700 and columns.max() < 1300 and rows.min() > 300 and rows.max() < 900  # inside the face


def test_the_frame_is_moved_by_keyboard_and_dragged(page, tmp_path):
    photo = np.zeros((128, 256, 3), np.uint8)
    photo[:, 128:] = 200
    Image.fromarray(photo).save(tmp_path / "photo.png")
    upload(page, tmp_path / "photo.png")
    page.wait_for_function("() => inpainter.photo?.width === 256 && inpainter.scene.square")
    expect(page.locator("#note")).to_contain_text("No face was found")
    page.locator("#frame .square").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => inpainter.scene.square") == [70, 0, 128]
    box = page.locator("#frame .square").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 20, steps=3)
    page.mouse.up()
    assert page.evaluate("() => inpainter.scene.square") == [128, 0, 128]
    page.locator("input[name=preset][value=center]").check()
    settle(page, ("done",))
    assert (filled(page)[0] == 200).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"This is no picture.", "not an image"),
        (EXAMPLES[0].read_bytes()[:3000] if EXAMPLES else b"", "damaged or incomplete"),
        ((1, 1), "too small"),
        ((9000, 8000), "limit of 50 megapixels"),
    ],
    ids=["text", "truncated", "tiny", "huge"],
)
def test_a_bad_upload_gives_one_sentence_and_loses_nothing(page, tmp_path, content, expected):
    path = tmp_path / "photo.png"
    if isinstance(content, tuple):
        Image.new("1", content).save(path)
    else:
        path.write_bytes(content)
    before = state(page)
    upload(page, path)
    expect(page.locator("#status")).to_contain_text(expected)
    message = page.locator("#status").inner_text()
    assert "Traceback" not in message and str(tmp_path) not in message
    assert state(page)["scene"] == before["scene"]


def test_an_example_that_is_picked_while_a_photo_is_read_stays(page, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8)).save(tmp_path / "photo.png")
    upload(page, tmp_path / "photo.png")
    example(page, 5).check()
    settle(page, ("done",))
    page.wait_for_timeout(2000)  # the photo has been read by then
    assert page.evaluate("() => inpainter.scene.picture").startswith("example:")
    assert_belongs(page)


# Taking it home


def test_downloads_are_the_picture_enlarged_the_mask_and_everything(page):
    missing, small = hole(page), filled(page)
    with page.expect_download() as download:
        page.locator("#download").click()
    large = np.asarray(Image.open(download.value.path()).convert("RGB"))
    assert large.shape == (256, 256, 3)
    assert np.abs(large.reshape(64, 4, 64, 4, 3).mean((1, 3)) - small).mean() < 4
    page.locator("#more summary").click()
    with page.expect_download() as download:
        page.locator("#download-mask").click()
    assert (np.asarray(Image.open(download.value.path()))[..., 0] == 255 * missing).all()
    page.locator("#more summary").click()
    with page.expect_download() as download:
        page.locator("#download-all").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert {"mask.png", "damaged.png", "filled-overlay.png", "losses.json"} <= set(names)


@pytest.mark.parametrize("edge", ["top", "bottom"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_menu_is_in_sight_wherever_the_page_is_scrolled_to_and_closes(page, width, edge):
    page.set_viewport_size({"width": width, "height": 500})
    menu, summary = page.locator("#more > div"), page.locator("#more summary")
    page.locator("#more").evaluate("menu => { menu.open = false; }")
    summary.evaluate(
        "(button, edge) => { const box = button.getBoundingClientRect();"
        " scrollBy(0, edge === 'top' ? box.top - 4 : box.bottom + 4 - innerHeight); }",
        edge,
    )
    summary.click()
    page.wait_for_function(
        "width => { const box = document.querySelector('#more > div').getBoundingClientRect();"
        " return box.height && box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= innerHeight; }",
        arg=width,
        timeout=10_000,
    )
    page.locator("#link").click()
    expect(menu).not_to_be_visible()
    summary.click()
    page.keyboard.press("Escape")
    expect(menu).not_to_be_visible()
    summary.click()
    page.locator("#title").click()
    expect(menu).not_to_be_visible()


def test_only_failures_look_like_failures(page):
    page.evaluate("() => document.querySelector('#link').click()")
    expect(page.locator("#status")).to_contain_text("address bar")
    assert page.locator("#status.failed").count() == 0
    page.evaluate("() => navigator.clipboard.writeText = () => Promise.reject(new Error('denied'))")
    page.evaluate("() => document.querySelector('#link').click()")
    expect(page.locator("#status")).not_to_contain_text("copied")
    page.locator("#clear").click()
    page.locator("#run").click()
    expect(page.locator("#status.failed")).to_contain_text("Nothing is erased")


def test_the_result_becomes_the_input(page):
    before = filled(page)
    page.evaluate("() => document.querySelector('#reuse').click()")
    page.wait_for_function("() => inpainter.scene.picture.startsWith('photo:')")
    draw(page, 0.1)
    settle(page, ("done",))
    assert (filled(page) == before)[~hole(page)].all()


def test_candidates_stand_side_by_side_best_first(page):
    page.evaluate("() => inpainter.change({settings: {candidates: 4, steps: 20}})")
    page.locator("#run").click()
    settle(page, ("done",))
    expect(page.locator("#candidates input")).to_have_count(4)
    assert page.locator("#candidates label").first.inner_text().startswith("best")
    first = filled(page)
    page.locator("#candidates input").nth(2).check()
    assert (filled(page) != first).any()
    assert_belongs(page)


# Below


def test_the_parts_of_the_method_are_compared_in_a_matrix_and_in_words(page):
    page.get_by_role("tab", name="Parts of the method").click()
    page.locator("#parts-run").click()
    expect(page.locator("#parts .matrix")).to_be_visible(timeout=60_000)
    expect(page.locator("#parts .verdict")).to_contain_text("grey levels when pasted")
    assert page.locator("#parts .matrix .pair").count() == 4
    page.get_by_role("button", name="Where blending matters").click()
    expect(page.locator("#parts .verdict")).not_to_be_visible()
    expect(page.locator("#parts .verdict")).to_contain_text("grey levels when pasted")
    assert_belongs(page)
    draw(page, 0.1)
    expect(page.locator("#parts .of-scene")).to_have_class("of-scene stale")
    settle(page, ("done",))


def test_other_methods_are_compared_on_the_scene(page):
    page.locator("input[name=subject][value=tiny]").check()
    settle(page, ("done",))
    page.get_by_role("tab", name="Other methods").click()
    page.locator("#methods-run").click()
    expect(page.locator("#methods .finished")).to_be_visible(timeout=120_000)
    text = page.locator("#methods").inner_text()
    for title in ("Latent search", "Without blending", "Total variation", "Context encoder"):
        assert title in text  # filled, or left out with the reason
    assert text.count("closest") == 1


def test_stop_ends_a_comparison(page):
    page.get_by_role("tab", name="Parts of the method").click()
    page.evaluate("() => inpainter.change({settings: {steps: 1500}}, 'none')")
    page.locator("#parts-run").click()
    expect(page.locator("#parts .progress")).to_contain_text("Step")
    page.locator("#stop").click()
    expect(page.locator("#parts .progress")).to_contain_text("Stopped after")
    expect(page.locator("#stop")).to_be_disabled()
    page.evaluate("() => inpainter.change({settings: {}})")
    settle(page, ("done",))


def test_a_fill_that_a_comparison_supersedes_is_over_and_can_be_run_again(page):
    page.get_by_role("tab", name="Parts of the method").click()
    page.evaluate("() => inpainter.change({settings: {steps: 1500}}, 'none')")
    page.locator("#run").click()
    expect(page.locator("#status")).to_contain_text("step")
    page.evaluate("() => document.querySelector('#parts-run').click()")
    assert settle(page) == "outdated"
    expect(page.locator("#status")).to_contain_text("Press Run")
    expect(page.locator("#parts .progress")).to_contain_text("Step")  # the comparison has begun
    assert settle(page) == "outdated" and page.locator("#run").is_enabled()
    page.evaluate("() => inpainter.change({settings: {}})")
    settle(page, ("done",))


def test_exploring_shows_samples_and_what_lies_between_two(page):
    page.get_by_role("tab", name="Explore").click()
    expect(page.locator("#samples figure")).to_have_count(20)
    before = page.locator("#samples img").first.get_attribute("src")
    page.locator("#draw").click()
    expect(page.locator("#samples img").first).not_to_have_attribute("src", before)


def test_the_code_tab_shows_the_scene(page):
    page.locator("input[name=preset][value=pattern]").check()
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("tab", name="Use in code").click()
    for snippet in ("masks.pattern(64, seed=0)", "--mask mask.png", 'api_name="/inpaint"'):
        expect(page.locator("body")).to_contain_text(snippet)
    settle(page)
    expect(page.locator("#code-mark .of-scene")).to_have_class("of-scene")
    draw(page, 0.1)
    expect(page.locator("#code-mark .of-scene")).to_have_class("of-scene stale")
    settle(page)


# For everybody


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_inaccessible_or_wider_than_the_window(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 844 if width < 500 else 1000})
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
    page.get_by_role("tab", name="Details").click()
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run({resultTypes: ['violations']})")
    page.evaluate("() => document.body.classList.remove('dark')")
    serious = [
        (violation["id"], [node["html"][:160] for node in violation["nodes"]][:3])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_tools_stand_on_one_line_of_a_small_laptop_and_within_the_stage_everywhere(page):
    # Both in one call: between two, the browser may lay out the page for the new width.
    boxes = """() => [document.querySelector('#stage'), ...document.querySelectorAll('#stage .tools > *')]
        .map(element => element.getBoundingClientRect())"""
    for width in (1280, 1024, 390):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_function(f"() => innerWidth === {width}")
        stage, *tools = page.evaluate(boxes)
        left, right = stage["left"] - 1, stage["right"] + 1
        assert all(left <= tool["left"] and tool["right"] <= right for tool in tools)
        middles = {round(tool["top"] + tool["height"] / 2) for tool in tools}
        assert len(middles) == (1 if width == 1280 else 2)
    page.set_viewport_size(SIZE)


def test_on_a_phone_the_first_screen_can_be_drawn_on_and_shows_the_result(page):
    page.set_viewport_size({"width": 390, "height": 844})
    box = page.locator("#canvas").bounding_box()
    assert box["width"] >= 300 and box["y"] + box["height"] <= 844
    run = page.locator("#run").bounding_box()
    assert run["y"] + run["height"] <= 844
    page.set_viewport_size(SIZE)
