"""The tab that fills one scene with every available method: the search, its variants and the baselines."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from numpy.typing import NDArray

from inpainter import Settings, baselines, metrics
from inpainter.baselines.context_encoder import ContextEncoder

from .. import models
from ..errors import errors_as_messages
from ..pixels import damaged
from ..runs.scene import Asked, Scene
from ..runs.search import search_until, told
from ..runs.turns import TURNS, Visit
from ..settings import Choice
from .views import figure, hint, of_scene, progress

EXPLANATION = """Fills your scene with every installed method: the search, its variants, and classical methods. Results
appear as they finish."""
SCORES = hint(
    "dB: PSNR over the pixels of the hole; SSIM: structural similarity of the whole picture. For both, higher is "
    "closer to the original, though blur also scores well. Times are per method."
)

SEARCHES: dict[str, dict[str, Any]] = {  # changes to the default settings
    "Latent search": {},
    "First proposal": {"steps": 0, "refine": 0},
    "Averaged with mirror image": {"both_ways": True},
    "Without refinement": {"refine": 0},
    "Known pixels weighted equally": {"window": None},
    "Without blending": {"blend": "overlay"},
}
BASELINES = {
    "tv": "Total variation",
    "low_rank": "Low rank",
    "patchmatch": "PatchMatch",
    "context_encoder": "Context encoder",
    "telea": "Fast marching (Telea)",
    "navier_stokes": "Navier-Stokes",
    "biharmonic": "Biharmonic",
}


@dataclass(frozen=True)
class Filling:
    """A method's filled picture and its scores."""

    title: str
    image: NDArray[np.uint8]  # (H, W, 3)
    seconds: float
    psnr: float  # dB, over the hole
    ssim: float  # of the whole picture


def add_tab(scene: Component) -> None:
    """Adds the tab to the page being built; `scene` holds the browser's latest description of the scene."""
    with gr.Tab("Other methods"):
        gr.Markdown(EXPLANATION)
        start = gr.Button("Compare methods", elem_id="methods-run", size="sm")
        comparison = gr.HTML(elem_id="methods")
    start.click(
        compare,
        scene,
        comparison,
        js="() => window.inpainter.compare()",
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=None,
    )


def compare(asked: str, request: gr.Request) -> Iterator[str]:
    """Fills the hole with one method after another and yields the comparison as HTML."""
    with errors_as_messages():
        wanted = Asked.parse(asked)
        scene = wanted.scene_to_fill()
        with TURNS.visit(request, wanted.number) as visit:
            for ahead in TURNS.wait(visit, work=math.inf):
                yield of_scene(wanted.id, progress(f"Waiting: {ahead} ahead", 0))
            run, leave = partial(_run, scene, visit), partial(TURNS.searches.leave, visit)
            for html in told(run, visit.switch, leave):
                yield of_scene(wanted.id, html)


def _run(scene: Scene, visit: Visit, tell: Callable[[str], None]) -> None:
    """Runs the methods one after another and tells the comparison as HTML before each, and at the end."""
    methods = {title: partial(_search, scene.model, visit, changes) for title, changes in searches(scene.model).items()}
    methods |= {title: partial(_baseline, scene.model, name) for name, title in BASELINES.items()}
    fillings, left_out = [], {}

    def compared(words: str, share: float, finished: bool = False) -> str:
        return progress(words, share) + show(scene.picture, scene.hole, fillings, left_out, finished)

    for done, (title, method) in enumerate(methods.items()):
        if visit.switch.is_set():
            break
        TURNS.searches.give_way(visit)
        tell(compared(f"Running: {title}", done / len(methods)))
        try:
            image, seconds = method(scene.picture, scene.hole)
        except ValueError as error:  # not installed, or it cannot fill this hole
            left_out[title] = str(error)
            continue
        if visit.switch.is_set():  # a search that was ended early does not show what the method can do
            break
        fillings.append(scored(title, image, seconds, scene.picture, scene.hole))
    finished, count = not visit.switch.is_set(), len(fillings)
    words = f"{count} methods compared" if finished else f"Stopped after {count} of {len(methods)} methods"
    tell(compared(words, 1, finished))


def searches(name: str) -> dict[str, dict[str, Any]]:
    """Returns the variants of the search that change anything for a model: not all models refine by default."""
    usual = Settings().resolved(models.model_named(name).model, 1)
    return {title: new for title, new in SEARCHES.items() if not new or usual.with_fields(**new) != usual}


def _search(name: str, visit: Visit, changes: dict[str, Any], picture: NDArray, hole: NDArray) -> tuple[NDArray, float]:
    """Runs the fast search; returns the filled picture and the time in seconds."""
    settings = Choice().resolved(name, live=False).settings.with_fields(**changes)
    *_, result = search_until(name, picture[None], hole, settings, _Unset(visit), previews=1)
    return result.images[0], result.seconds


class _Unset:
    """A view of a visit's stop switch for one of several searches, which must not set it when it ends."""

    def __init__(self, visit: Visit):
        self.is_set = visit.switch.is_set

    def set(self) -> None:
        pass


def _baseline(name: str, method: str, picture: NDArray, hole: NDArray) -> tuple[NDArray, float]:
    """Runs a baseline; returns the filled picture and the time in seconds. Raises ValueError if it is unavailable."""
    needs = {"model": context_encoder(name)} if method == "context_encoder" else {}
    fill = baselines.get(method, **needs)
    begun = time.perf_counter()
    return fill(picture[None], hole)[0], time.perf_counter() - begun


@cache
def context_encoder(name: str) -> ContextEncoder:
    """Loads the context encoder trained on a model's data, from the folder next to it; raises ValueError if none."""
    folder = models.MODELS[name].folder.parent / f"{models.CONTEXT_ENCODER}{name.partition('-')[2]}"
    if not folder.is_dir():
        raise ValueError("no trained network for this model's data is installed.")
    return ContextEncoder.load(folder)


def scored(
    title: str, image: NDArray[np.uint8], seconds: float, picture: NDArray[np.uint8], hole: NDArray[np.bool_]
) -> Filling:
    """Scores a filled picture against the original."""
    return Filling(title, image, seconds, metrics.psnr(image, picture, hole), metrics.ssim(image, picture))


def show(
    picture: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    fillings: list[Filling],
    left_out: dict[str, str],
    finished: bool = False,
) -> str:
    """Returns the comparison as HTML; marks the best once it is finished."""
    best = max(fillings, key=lambda filling: filling.psnr, default=None) if finished else None
    figures = [figure(damaged(picture, hole), "Damaged"), figure(picture, "Original")]
    for filling in fillings:
        detail = f"{filling.psnr:.1f} dB{', closest' if filling is best else ''}"
        seconds = f"{filling.seconds:.1f} s" if filling.seconds >= 0.1 else f"{1000 * filling.seconds:.0f} ms"
        figures.append(figure(filling.image, filling.title, detail, f"SSIM {filling.ssim:.3f} · {seconds}"))
    reasons = "".join(f"<li><b>{escape(title)}</b>: {escape(reason)}</li>" for title, reason in left_out.items())
    left = f'{hint("Not available:")}<ul class="hint">{reasons}</ul>' if reasons else ""
    return f'<div class="figures many{" finished" if finished else ""}">{"".join(figures)}</div>{SCORES}{left}'
