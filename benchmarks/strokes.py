"""Seconds from the end of a brush stroke to the first filled picture on the page and to the last one, as CSV.

    python -m benchmarks.strokes --out docs/results/strokes.csv

A real browser draws on the page, without a GPU and on the cores that also fill. Each stroke is on the empty example.
"""

import argparse
import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.serving import CHROMIUM, CHROMIUM_ARGS, page_process
from inpainter import files

SIZE = {"width": 1280, "height": 900}
COLUMNS = ("model", "stroke", "first", "last")
# Resolves with the times, in seconds from now, at which the scene's first and last fillings are on show.
WATCH = """() => {
  const begun = performance.now(), seen = {}, since = () => (performance.now() - begun) / 1000;
  const look = (done) => {
    if (!("first" in seen) && inpainter.current()) seen.first = since();
    if (inpainter.finished()) done({ ...seen, last: since() });
    else requestAnimationFrame(() => look(done));
  };
  return new Promise(look);
}"""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["comod-celeba-128", "comod-celeba-64", "dcgan-celeba"])
    parser.add_argument("--strokes", type=int, default=12, help="per model (default %(default)s)")
    parser.add_argument("--out", type=Path, help="CSV file")
    arguments = parser.parse_args(argv)
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        page_process(Path(folder)) as (address, _),
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        page.wait_for_selector("#stage[data-state=done]", timeout=120_000)
        for model in arguments.models:
            page.evaluate("(model) => inpainter.change({ model })", model)
            page.wait_for_function("inpainter.finished()")
            rows += [{"model": model, **row} for row in timed(page, arguments.strokes)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    print(text.getvalue())
    if arguments.out:
        files.write_text(arguments.out, text.getvalue())


def timed(page: Page, count: int) -> Iterator[dict[str, float]]:
    """Draws strokes from left to right, at as many heights; yields the times of each."""
    box = page.locator("#canvas").bounding_box()
    x, length = box["x"] + box["width"] / 2, box["width"] / 5
    for stroke in range(count):
        page.locator("#clear").click()
        y = box["y"] + box["height"] * (0.25 + 0.5 * stroke / count)
        page.mouse.move(x - length / 2, y)
        page.mouse.down()
        page.mouse.move(x + length / 2, y, steps=6)
        page.mouse.up()
        seen = page.evaluate(WATCH)
        yield {"stroke": stroke, **{name: round(seen[name], 3) for name in ("first", "last")}}


if __name__ == "__main__":
    main()
