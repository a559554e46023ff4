"""The page in a real browser."""

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
from page_server import CHROMIUM, CHROMIUM_ARGS, page_server
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("gradio", reason="Gradio is not installed")
expect = playwright.expect


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with page_server(tmp_path_factory.mktemp("page") / "server.log") as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        except playwright.Error as error:
            pytest.skip(f"no Chromium to drive: install chromium, or run `playwright install chromium` ({error})")
        yield browser
        browser.close()


@pytest.fixture
def page(address, browser):
    """The page, freshly opened, ready to draw on."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(address)
    page.wait_for_selector("#editor canvas")
    page.get_by_role("button", name="Settings").click()
    yield page
    page.close()


def set_steps(page, steps: int) -> None:
    page.get_by_label("number input for Steps").fill(str(steps))
    page.keyboard.press("Tab")


def run(page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def wait_for_result(page) -> None:
    page.wait_for_selector("#view .finished", timeout=60_000)


def picture(page, title: str) -> np.ndarray:
    """A picture of the comparison by its title: uint8 (H, W, 3)."""
    data = page.locator(f'#view img[alt="{title}"]').get_attribute("src").split(",")[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def hole(page) -> np.ndarray:
    """The hole of the last run, from the damaged input: bool (H, W)."""
    return (picture(page, "Damaged input") != picture(page, "Original")).any(axis=2)


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
