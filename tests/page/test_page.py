"""The page in a real browser."""

import base64
import io
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from page_server import CHROMIUM, CHROMIUM_ARGS, EXAMPLES, page_server
from PIL import Image

from inpainter import masks

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("gradio", reason="Gradio is not installed")
from page import compare  # noqa: E402

expect = playwright.expect


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with page_server(tmp_path_factory.mktemp("page") / "server.log") as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """A browser context: pages opened in it share a cache."""
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        except playwright.Error as error:
            pytest.skip(f"no Chromium to drive: install chromium, or run `playwright install chromium` ({error})")
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(90_000)  # a busy machine takes long to start the editor
        yield context
        browser.close()


@pytest.fixture
def page(address, browser):
    """The page, freshly opened, ready to draw on."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("#editor canvas")
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Live").uncheck()
    yield page
    page.close()


@pytest.fixture
def live(page):
    """The page, filling what is drawn beside the preset hole."""
    page.get_by_label("Live").check()
    return page


@pytest.fixture(scope="module")
def opened(address, browser):
    """One page for the tests that leave it as it was."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("#editor canvas")
    yield page
    page.close()


def set_steps(page, steps: int) -> None:
    page.get_by_label("number input for Steps").fill(str(steps))
    page.keyboard.press("Tab")


def run(page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def wait_for_result(page) -> None:
    page.wait_for_selector("#view .finished", timeout=60_000)


ABOVE, BELOW = 0.12, 0.88  # the preset hole, in the picture


def draw(page, down: float = 0.5) -> None:
    """A stroke from left to right around the middle; `down` is where, from 0 at the top to 1."""
    canvas = still_box(page.locator("#editor canvas").first)
    x, y = canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] * down
    page.mouse.move(x - 40, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=8)
    page.mouse.up()


def still_box(element) -> dict[str, float]:
    """Where an element is, once what is above it has stopped to move it."""
    before, box = None, element.bounding_box()
    while box != before:
        element.page.wait_for_timeout(150)
        before, box = box, element.bounding_box()
    return box


def wait_for_live(page, wanted: Callable[[], bool]) -> None:
    """Waits until a live run has ended with what is wanted: one of what was there before may end first."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        page.wait_for_selector("#view [data-step=done]")
        if wanted():
            return
        page.wait_for_timeout(300)
    raise AssertionError("no live run filled what is wanted")


def wait_for_hole(page, *rows: slice) -> None:
    """Waits until a live run has ended with something missing in all these rows."""
    wait_for_live(page, lambda: all(missing[some].any() for missing in [hole(page)] for some in rows))


def picture(page, title: str) -> np.ndarray:
    """A picture of the comparison by its title: uint8 (H, W, 3)."""
    data = page.locator(f'#view img[alt="{title}"]').get_attribute("src").split(",")[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def hole(page) -> np.ndarray:
    """The hole of the last run, from the damaged input: bool (H, W)."""
    return (picture(page, "Damaged input") != picture(page, "Original")).any(axis=2)


@contextmanager
def new_drawing(page):
    """Waits until the editor has taken up the new value that the block brings about."""
    with page.expect_response(lambda response: response.url.endswith("/image.png")):
        yield
    page.wait_for_timeout(600)  # for the second picture, the layer with the hole


def upload(page, button: str):
    """The file input behind an upload button."""
    return page.get_by_test_id(f"{button}-upload-button")


def toast(page) -> str:
    return page.locator(".toast-body").first.inner_text(timeout=20_000)


def test_an_example_with_the_preset_hole_is_filled_and_seen_forming(page):
    set_steps(page, 60)
    page.evaluate(
        """() => { window.seen = new Set();
        new MutationObserver(() => document.querySelectorAll('#view img[alt^=Forming]').forEach(i => seen.add(i.src)))
        .observe(document.body, {childList: true, subtree: true, attributes: true}); }"""
    )
    run(page)
    wait_for_result(page)
    assert page.evaluate("seen.size") >= 4
    original, filled = picture(page, "Original"), picture(page, "Poisson blending, with the prior loss")
    missing = np.zeros((64, 64), dtype=bool)
    missing[16:48, 16:48] = True
    assert (filled[~missing] == original[~missing]).all()
    assert (filled[missing] != 128).any()


def test_stop_keeps_what_was_found_so_far(page):
    set_steps(page, 1500)
    run(page)
    page.wait_for_selector("#view [data-step]:not([data-step='0'])")
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_result(page)
    status = page.locator("#view [role=status]").inner_text()
    done = int(re.search(r"Stopped after (\d+) of 1500 steps", status)[1])
    assert 0 < done < 1500
    assert hole(page).any()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


def test_a_visitor_who_leaves_lets_the_next_one_run(address, browser, page):
    leaver = browser.new_page()
    leaver.goto(address)
    leaver.wait_for_selector("#editor canvas")
    leaver.get_by_role("button", name="Settings").click()
    set_steps(leaver, 1500)
    run(leaver)
    leaver.wait_for_selector("#view [data-step]:not([data-step='0'])")
    set_steps(page, 2)
    run(page)
    page.wait_for_timeout(500)
    assert not page.locator("#view .finished").is_visible()  # one search at a time
    leaver.close()
    page.wait_for_selector("#view .finished", timeout=15_000)


def test_a_hole_drawn_with_the_mouse_is_what_gets_filled(page):
    with new_drawing(page):
        page.get_by_role("button", name="Clear hole").click()
    draw(page)
    page.wait_for_timeout(1000)  # until the page has been told of it
    set_steps(page, 5)
    run(page)
    wait_for_result(page)
    drawn = hole(page)
    rows, columns = np.nonzero(drawn)
    assert 10 < drawn.sum() < 64 * 64 / 4
    assert np.ptp(columns) > np.ptp(rows)  # a stroke from left to right
    assert abs(rows.mean() - 32) < 6 and abs(columns.mean() - 32) < 6


def test_a_stroke_is_filled_without_pressing_run(live):
    draw(live, ABOVE)
    wait_for_hole(live, slice(0, 16))
    filled, missing = picture(live, "Filled"), hole(live)
    assert not missing[48:].any()
    assert (filled == picture(live, "Original"))[~missing].all()
    assert (filled[missing] != 128).any()
    with new_drawing(live):
        live.get_by_role("button", name="Clear hole").click()
    expect(live.locator("#view .welcome")).to_be_visible(timeout=20_000)


def test_what_is_filled_in_the_end_has_every_stroke(live):
    draw(live, ABOVE)
    live.wait_for_selector("#view .live")
    draw(live, BELOW)
    wait_for_hole(live, slice(0, 16), slice(48, 64))


def test_run_wins_over_live_runs(live):
    set_steps(live, 1500)
    draw(live, ABOVE)
    live.wait_for_selector("#view .live")
    run(live)
    live.wait_for_selector("#view [data-step]:not(.live):not([data-step='0'])")
    draw(live, BELOW)  # meanwhile
    live.wait_for_timeout(1000)
    live.get_by_role("button", name="Stop", exact=True).click()
    wait_for_result(live)
    live.wait_for_timeout(1500)
    assert live.locator("#view .finished").is_visible()
    assert hole(live)[:16].any() and not hole(live)[48:].any()


def test_another_picture_is_filled_live_and_the_switch_stops_that(live):
    with new_drawing(live):
        live.locator("#examples button").nth(3).click()
    example = np.asarray(Image.open(EXAMPLES[3]).convert("RGB"))
    wait_for_live(live, lambda: (picture(live, "Original") == example).all())
    live.get_by_label("Live").uncheck()
    with new_drawing(live):
        live.locator("#examples button").nth(2).click()
    live.wait_for_timeout(1500)
    assert (picture(live, "Original") == example).all()


def test_methods_are_compared_on_the_picture_and_hole_of_the_first_tab(page):
    page.get_by_label("Model", exact=True).click()
    with new_drawing(page):
        page.get_by_role("option", name="tiny").click()
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_selector("#comparison .finished", timeout=120_000)
    text = page.locator("#comparison").inner_text()
    for title in (*compare.SEARCHES, compare.OVERLAY, *compare.BASELINES.values()):
        assert title in text  # filled, or left out with the reason
    assert re.search(r"Latent search [\d.]+ dB(, best)?\s+SSIM [\d.]+ · [\d.]+ m?s", text)
    assert "Nearest picture: it chooses among" in text
    assert text.count("best") == 1
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_enabled()


def test_the_known_pixels_come_from_the_picture_and_not_from_the_editor(page):
    with new_drawing(page):
        page.locator("#examples button").nth(3).click()
    set_steps(page, 2)
    run(page)
    wait_for_result(page)
    example = np.asarray(Image.open(EXAMPLES[3]).convert("RGB"))
    assert (picture(page, "Original") == example).all()
    filled = picture(page, "Overlay, without the prior loss")
    assert (filled == example)[~hole(page)].all()


def test_nothing_drawn_gives_one_sentence_and_loses_nothing(page):
    set_steps(page, 2)
    run(page)
    wait_for_result(page)
    with new_drawing(page):
        page.get_by_role("button", name="Clear hole").click()
    run(page)
    assert "Nothing is missing yet" in toast(page)
    assert page.locator("#view .finished").is_visible()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


def test_everything_missing_gives_a_sample_and_says_so(page):
    with new_drawing(page):
        page.get_by_role("button", name="Clear hole").click()
    with new_drawing(page):
        page.get_by_role("button", name="Invert hole").click()
    run(page)
    assert "simply a sample" in toast(page)
    wait_for_result(page)
    assert hole(page).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"This is no picture.", "not an image"),
        (EXAMPLES[0].read_bytes()[:3000] if EXAMPLES else b"", "damaged or cut short"),
        ("1x1", "too few"),
    ],
    ids=["text", "truncated", "tiny"],
)
def test_a_bad_upload_gives_one_sentence(opened, tmp_path, content, expected):
    path = tmp_path / "photo.png"
    if content == "1x1":
        Image.new("RGB", (1, 1)).save(path)
    else:
        path.write_bytes(content)
    upload(opened, "Use your own picture").set_input_files(path)
    message = toast(opened)
    opened.get_by_test_id("toast-close").click()
    expect(opened.locator(".toast-body")).to_have_count(0)  # gone before the next one comes
    assert expected in message
    assert "Traceback" not in message and str(tmp_path) not in message


def test_a_face_in_a_photo_is_found_filled_and_put_back_at_full_resolution(page, tmp_path):
    photo = Image.new("RGB", (1500, 1200), "gray")
    face = Image.open(EXAMPLES[0]).convert("RGB").resize((600, 600), Image.Resampling.BICUBIC)
    photo.paste(face, (700, 300))
    photo.save(tmp_path / "me.png")
    with new_drawing(page):
        upload(page, "Use your own picture").set_input_files(tmp_path / "me.png")
    expect(page.locator("#note")).to_contain_text("1500x1200")
    expect(page.locator("#note")).to_contain_text("face was found")
    expect(page.locator(".overview rect").first).to_be_attached()
    set_steps(page, 2)
    run(page)
    wait_for_result(page)
    example = np.asarray(Image.open(EXAMPLES[0]).convert("RGB"))
    assert np.abs(picture(page, "Original").astype(int) - example).mean() < 35  # framed alike, if not to the pixel
    button = page.locator("#full-download")
    expect(button).to_contain_text("1500x1200", timeout=20_000)
    with page.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == "me-filled.png"
    filled, photo = np.asarray(Image.open(download.value.path())), np.asarray(photo)
    changed = (filled != photo).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert filled.shape == photo.shape and 0.01 < changed.mean() < 0.1
    assert columns.min() > 780 and columns.max() < 1220 and rows.min() > 380 and rows.max() < 820  # inside the face


def test_the_square_of_a_photo_is_moved_by_hand(page, tmp_path):
    photo = np.zeros((128, 256, 3), np.uint8)
    photo[:, 128:] = 200
    Image.fromarray(photo).save(tmp_path / "photo.png")
    with new_drawing(page):
        upload(page, "Use your own picture").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#note")).to_contain_text("No face was found")
    with new_drawing(page):
        page.get_by_label("number input for Across, %").fill("100")
        page.keyboard.press("Tab")
    set_steps(page, 2)
    run(page)
    wait_for_result(page)
    assert (picture(page, "Original") == 200).all()


def test_candidates_stand_side_by_side_and_the_chosen_one_is_compared_and_downloaded(page):
    set_steps(page, 5)
    page.get_by_label("number input for Candidates").fill("3")
    page.keyboard.press("Tab")
    run(page)
    wait_for_result(page)
    candidates = page.locator("#candidates button")
    expect(candidates).to_have_count(3)
    captions = candidates.all_inner_texts()
    assert all(re.search(r"\d(, best)?: loss [\d.]+ · [\d.]+ dB", caption) for caption in captions)
    assert sum("best" in caption for caption in captions) == 1
    seen = []
    for number in (2, 3):
        candidates.nth(number - 1).click()
        expect(page.locator("#view [role=status]")).to_contain_text(f"candidate {number} of 3")
        with page.expect_download() as download:
            page.get_by_text("Download the result").click()
        saved = np.asarray(Image.open(download.value.path()))
        assert (saved == picture(page, "Poisson blending, with the prior loss")).all()
        seen.append(saved)
    assert (seen[0] != seen[1]).any()


def test_another_model_brings_its_own_picture_and_keeps_the_hole(page):
    with new_drawing(page):
        page.get_by_label("Half", exact=True).click()
    page.get_by_label("Model", exact=True).click()
    with new_drawing(page):
        page.get_by_role("option", name="tiny").click()
    expect(page.locator("#examples")).not_to_be_visible()
    set_steps(page, 3)
    run(page)
    wait_for_result(page)
    assert (hole(page) == masks.half(16, "left")).mean() > 0.99  # grey pixels may be the hole's colour


def test_exploring_shows_samples_what_lies_between_them_and_the_path_of_the_search(page):
    page.get_by_role("tab", name="Explore").click()
    expect(page.locator("#samples button")).to_have_count(16)
    expect(page.locator("#between img")).to_have_count(8)
    expect(page.locator("#path")).to_contain_text("no search to draw yet")
    before = page.locator("#between img").first.get_attribute("src")
    page.get_by_role("button", name="Draw others").click()
    expect(page.locator("#between img").first).not_to_have_attribute("src", before)
    page.get_by_role("tab", name="Inpaint").click()
    set_steps(page, 10)
    run(page)
    wait_for_result(page)
    page.get_by_role("tab", name="Explore").click()
    expect(page.locator("#path polyline")).to_have_count(2)  # with and without the prior loss
    expect(page.locator("#path .strip img")).to_have_count(8)


def test_an_uploaded_mask_makes_the_hole_and_can_be_inverted(page, tmp_path):
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[8:20, 30:50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with new_drawing(page):
        upload(page, "Upload mask").set_input_files(tmp_path / "mask.png")
    with new_drawing(page):
        page.get_by_role("button", name="Invert hole").click()
    set_steps(page, 2)
    run(page)
    wait_for_result(page)
    assert (hole(page) == (mask == 0)).all()


def test_the_result_and_everything_else_can_be_downloaded(page):
    set_steps(page, 2)
    run(page)
    wait_for_result(page)
    with page.expect_download() as download:
        page.get_by_text("Download the result").click()
    assert download.value.suggested_filename == "filled.png"
    saved = np.asarray(Image.open(download.value.path()))
    assert (saved == picture(page, "Poisson blending, with the prior loss")).all()
    with page.expect_download() as download:
        page.get_by_text("everything", exact=True).click()
    assert {"mask.png", "damaged.png", "filled-overlay-no-prior.png"} <= set(
        zipfile.ZipFile(download.value.path()).namelist()
    )


def test_the_page_asks_nothing_of_other_hosts(address, browser):
    page, elsewhere = browser.new_page(), []
    page.on(
        "request",
        lambda request: request.url.startswith((address, "data:", "blob:")) or elsewhere.append(request.url),
    )
    page.goto(address)
    page.wait_for_selector("#editor canvas")
    page.close()
    assert elsewhere == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("tab", ["Compare", "Explore", "Use in code", "Inpaint"])
def test_nothing_is_wider_than_the_window(opened, width, tab):
    opened.set_viewport_size({"width": width, "height": 1000})
    opened.get_by_role("tab", name=tab).click()
    opened.wait_for_timeout(300)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("tab", ["Compare", "Explore", "Use in code", "Inpaint"])
def test_every_control_has_a_name(opened, tab):
    """Buttons and inputs that are seen have a text, a label or a title for screen readers."""
    opened.get_by_role("tab", name=tab).click()
    opened.wait_for_timeout(500)
    nameless = opened.evaluate(
        """() => [...document.querySelectorAll('button, input:not([type=file]), select, textarea, img')]
        .filter(e => e.offsetParent && !(e.innerText || e.ariaLabel || e.title || e.hasAttribute('alt')
            || e.labels?.length || e.closest('label') || e.querySelector('img[alt]')))
        .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_the_code_tab_shows_the_chosen_settings(page):
    set_steps(page, 77)
    with new_drawing(page):
        page.get_by_label("Pattern", exact=True).click()
    for _ in range(5):  # the tab shows the hole that the editor has; a busy browser takes it up late
        page.get_by_role("tab", name="Use in code").click()
        page.wait_for_timeout(1000)
        if "masks.pattern" in page.locator("body").inner_text():
            break
        page.get_by_role("tab", name="Inpaint").click()
    for snippet in ("steps=77", "masks.pattern(64, seed=0)", "--steps 77", "--mask pattern", 'api_name="/inpaint"'):
        expect(page.locator("body")).to_contain_text(snippet)
