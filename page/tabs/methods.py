"""One picture and one hole, filled by every method that is at hand: the search, its variants and the baselines."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from inpainter import baselines, metrics
from inpainter.baselines.context_encoder import ContextEncoder
from inpainter.settings import MODES

from . import editor, events, views
from .errors import errors_as_messages
from .models import CONTEXT_ENCODER, MODELS
from .outcomes import damaged
from .runs import SEARCH, SWITCHES, fill

EXPLANATION = """Fills the hole in the picture as they stand in the first tab, once with each method that is installed:
the search with its usual settings, the mean with what it makes of the mirror image, the search without each of
its parts, and methods to compare with. They are scored against the original."""
NOTHING_YET = '<p class="hint">Press Compare. It takes about ten seconds; what is finished is shown at once.</p>'
SCORES = (
    '<p class="hint">dB: PSNR over the pixels of the hole only; SSIM: structural similarity of the whole picture. '
    "Both are higher for what is closer to the original. The time is of this method alone.</p>"
)

SEARCHES: dict[str, dict[str, Any]] = {  # what each changes in the settings of `runs.fill`
    "Latent search": {},
    "Mean of both ways": {"both_ways": True},
    "First proposal": {"steps": 0},
    "Without refinement": {"refine": 0},
    "Without the prior loss": {"prior_weight": 0.0},
    "Known pixels all alike": {"window": None},
}
OVERLAY = "Without blending"  # the first search, pasted
BASELINES = {
    "tv": "Total variation",
    "low_rank": "Low rank",
    "patchmatch": "PatchMatch",
    "nearest": "Nearest picture",
    "context_encoder": "Context encoder",
    "telea": "Fast marching (Telea)",
    "navier_stokes": "Navier-Stokes",
    "biharmonic": "Biharmonic",
}


@dataclass(frozen=True)
class Filling:
    """What a method has made of the hole."""

    title: str
    image: NDArray[np.uint8]  # (H, W, 3)
    seconds: float
    psnr: float  # dB, over the hole
    ssim: float  # of the whole picture


def add_tab(model: gr.Dropdown, picture: gr.State, strokes: gr.HTML) -> None:
    """Adds the tab to the page that is being built; the components hold the model's name, the picture, the hole."""
    with gr.Tab("Compare"):
        gr.Markdown(EXPLANATION)
        with gr.Row():
            start = gr.Button("Compare", variant="primary", elem_id="compare", min_width=120)
            stop = gr.Button("Stop", interactive=False, min_width=120)
        comparison = gr.HTML(NOTHING_YET, elem_id="comparison")
    running = start.click(
        compare,
        [model, picture, strokes],
        [comparison, start, stop],
        api_visibility="private",
        show_progress_on=comparison,
        **SEARCH,
    )
    quick = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    running.then(events.show_ready, None, [start, stop], **quick)
    stop.click(events.stop_run, None, None, **quick)


def compare(name: str, picture: NDArray[np.uint8], strokes: str, request: gr.Request) -> Iterator[tuple]:
    """Fills the hole with one method after another: (comparison, start, stop)."""
    visitor = request.session_hash
    with errors_as_messages(), SWITCHES.switch(visitor) as switch:
        hole = editor.drawn_hole(strokes, len(picture))
        methods = {title: partial(search, name, visitor, changes) for title, changes in SEARCHES.items()}
        methods |= {title: partial(baseline, name, method) for method, title in BASELINES.items()}
        fillings, left_out = [], {}
        for done, (title, method) in enumerate(methods.items()):
            yield show(picture, hole, fillings, left_out, title, done / len(methods)), *events.show_busy()
            try:
                images, seconds = method(picture, hole)
            except ValueError as error:  # not installed, or the hole is not one that it can fill
                left_out[title] = str(error)
                continue
            if switch.is_set():
                break
            fillings += [
                scored(title, image, seconds, picture, hole)
                for title, image in zip((title, OVERLAY), images, strict=False)
            ]
        yield show(picture, hole, fillings, left_out), *events.show_ready()


def search(
    name: str, visitor: str | None, changes: dict[str, Any], picture: NDArray[np.uint8], hole: NDArray[np.bool_]
) -> tuple[list[NDArray[np.uint8]], float]:
    """The fast search: the filled picture, for the usual one also that without blending, and its seconds."""
    settings = {"mode": "fast", "steps": MODES["fast"], **changes}
    with SWITCHES.switch(visitor) as switch:
        *_, result = fill(name, picture[None], hole, settings, switch, previews=1)
    images = [result.images[0]] if changes else [result.images[0], result.compose("overlay")[0]]
    return images, result.seconds


def baseline(
    name: str, method: str, picture: NDArray[np.uint8], hole: NDArray[np.bool_]
) -> tuple[list[NDArray[np.uint8]], float]:
    """A baseline's filled picture and its seconds; raises ValueError, with the reason, for one that is not at hand."""
    if method == "nearest":
        raise ValueError("it chooses among thousands of training pictures, which do not come with a model.")
    needs = {"model": context_encoder(name)} if method == "context_encoder" else {}
    method = baselines.get(method, **needs)
    begun = time.perf_counter()
    return [method(picture[None], hole)[0]], time.perf_counter() - begun


@cache
def context_encoder(name: str) -> ContextEncoder:
    """The context encoder that was trained on a model's data, in the folder beside it; raises ValueError without."""
    folder = MODELS[name].parent / f"{CONTEXT_ENCODER}{name.partition('-')[2]}"
    if not folder.is_dir():
        raise ValueError("there is no trained network for this model's pictures here.")
    return ContextEncoder.load(folder)


def scored(
    title: str, image: NDArray[np.uint8], seconds: float, picture: NDArray[np.uint8], hole: NDArray[np.bool_]
) -> Filling:
    """A filled picture with its likeness to the original."""
    return Filling(title, image, seconds, metrics.psnr(image, picture, hole), metrics.ssim(image, picture))


def show(
    picture: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    fillings: list[Filling],
    left_out: dict[str, str],
    now: str = "",
    share: float = 1,
) -> str:
    """The comparison as HTML, with what is computed `now` and the share of the methods that are done."""
    best = max(fillings, key=lambda filling: filling.psnr, default=None) if not now else None
    figures = [
        views.zoomable(damaged(picture, hole), "Damaged input", prefix="compare"),
        views.zoomable(picture, "Original", prefix="compare"),
    ]
    for filling in fillings:
        detail = f"{filling.psnr:.1f} dB{', best' if filling is best else ''}"
        seconds = f"{filling.seconds:.1f} s" if filling.seconds >= 0.1 else f"{1000 * filling.seconds:.0f} ms"
        numbers = f"SSIM {filling.ssim:.3f} · {seconds}"
        figures.append(views.zoomable(filling.image, filling.title, detail, numbers, prefix="compare"))
    status = f"Now: {escape(now)}" if now else f"{len(fillings)} ways to fill the hole"
    reasons = "".join(f"<li><b>{escape(title)}</b>: {escape(reason)}</li>" for title, reason in left_out.items())
    return (
        f'<div role="status" class="progress">{status}'
        f'<progress max="1" value="{share:.2f}" aria-label="Methods done"></progress></div>'
        f'<div class="figures{"" if now else " finished"}">{"".join(figures)}</div>{SCORES}'
        + (f'<p class="hint">Left out:</p><ul class="hint">{reasons}</ul>' if reasons else "")
    )
