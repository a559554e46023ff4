"""One scene, filled by every method that is at hand: the search, its variants and the baselines."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from numpy.typing import NDArray

from inpainter import baselines, metrics
from inpainter.baselines.context_encoder import ContextEncoder

from ..errors import errors_as_messages
from ..models import CONTEXT_ENCODER, MODELS
from ..pixels import damaged
from ..runs.scene import Asked
from ..runs.search import search_until
from ..runs.turns import TURNS, Visit
from ..settings import Choice
from .views import figure, hint, of_scene, progress

EXPLANATION = """Fills your scene with every method that is installed: the search, the search without each of its parts,
and classical methods. What is finished is shown at once."""
SCORES = hint(
    "dB: PSNR over the pixels of the hole; SSIM: structural similarity of the whole picture. Both are higher for what "
    "is closer to the original, and reward blur. The time is of this method alone."
)

SEARCHES: dict[str, dict[str, Any]] = {  # what each changes in the usual settings
    "Latent search": {},
    "First proposal": {"steps": 0, "refine": 0},
    "Both ways": {"both_ways": True},
    "Without refinement": {"refine": 0},
    "Known pixels all alike": {"window": None},
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
    """What a method has made of the hole."""

    title: str
    image: NDArray[np.uint8]  # (H, W, 3)
    seconds: float
    psnr: float  # dB, over the hole
    ssim: float  # of the whole picture


def add_tab(scene: Component) -> None:
    """Adds the tab to the page that is being built; `scene` holds what the browser last described."""
    with gr.Tab("Other methods"):
        gr.Markdown(EXPLANATION)
        start = gr.Button("Compare the methods", elem_id="methods-run", size="sm")
        comparison = gr.HTML(elem_id="methods")
    start.click(
        compare,
        scene,
        comparison,
        js="() => window.inpainter.describe()",
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=None,
    )


def compare(asked: str, request: gr.Request) -> Iterator[str]:
    """Fills the hole with one method after another: the comparison as HTML."""
    with errors_as_messages():
        wanted = Asked.parse(asked)
        scene = wanted.scene_to_fill()
        fillings, left_out = [], {}
        with TURNS.visit(request, wanted.number) as visit:
            for ahead in TURNS.wait(visit, work=math.inf):
                yield of_scene(wanted.id, progress(f"Waiting: {ahead} ahead", 0))
            methods = {title: partial(_search, scene.model, visit, changes) for title, changes in SEARCHES.items()}
            methods |= {title: partial(_baseline, scene.model, name) for name, title in BASELINES.items()}
            for done, (title, method) in enumerate(methods.items()):
                if visit.switch.is_set():
                    break
                TURNS.searches.give_way(visit)
                status = progress(f"Now: {title}", done / len(methods))
                yield of_scene(wanted.id, status + show(scene.picture, scene.hole, fillings, left_out))
                try:
                    image, seconds = method(scene.picture, scene.hole)
                except ValueError as error:  # not installed, or the hole is not one that it can fill
                    left_out[title] = str(error)
                    continue
                fillings.append(scored(title, image, seconds, scene.picture, scene.hole))
        status = progress(f"{len(fillings)} ways to fill the hole", 1)
        yield of_scene(wanted.id, status + show(scene.picture, scene.hole, fillings, left_out, finished=True))


def _search(name: str, visit: Visit, changes: dict[str, Any], picture: NDArray, hole: NDArray) -> tuple[NDArray, float]:
    """The fast search: the filled picture, and its seconds."""
    settings = Choice().resolved(name, live=False).settings.with_fields(**changes)
    *_, result = search_until(name, picture[None], hole, settings, _Unset(visit), previews=1)
    return result.images[0], result.seconds


class _Unset:
    """A visit's switch for one of its several searches, each of which would set it at its end."""

    def __init__(self, visit: Visit):
        self.is_set = visit.switch.is_set

    def set(self) -> None:
        pass


def _baseline(name: str, method: str, picture: NDArray, hole: NDArray) -> tuple[NDArray, float]:
    """A baseline's filled picture and its seconds; raises ValueError, with the reason, for one that is not at hand."""
    needs = {"model": context_encoder(name)} if method == "context_encoder" else {}
    fill = baselines.get(method, **needs)
    begun = time.perf_counter()
    return fill(picture[None], hole)[0], time.perf_counter() - begun


@cache
def context_encoder(name: str) -> ContextEncoder:
    """The context encoder that was trained on a model's data, in the folder beside it; raises ValueError without."""
    folder = MODELS[name].folder.parent / f"{CONTEXT_ENCODER}{name.partition('-')[2]}"
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
    finished: bool = False,
) -> str:
    """The comparison as HTML; once it is finished, the best is marked."""
    best = max(fillings, key=lambda filling: filling.psnr, default=None) if finished else None
    figures = [figure(damaged(picture, hole), "Damaged"), figure(picture, "Original")]
    for filling in fillings:
        detail = f"{filling.psnr:.1f} dB{', closest' if filling is best else ''}"
        seconds = f"{filling.seconds:.1f} s" if filling.seconds >= 0.1 else f"{1000 * filling.seconds:.0f} ms"
        figures.append(figure(filling.image, filling.title, detail, f"SSIM {filling.ssim:.3f} · {seconds}"))
    reasons = "".join(f"<li><b>{escape(title)}</b>: {escape(reason)}</li>" for title, reason in left_out.items())
    left = f'{hint("Left out:")}<ul class="hint">{reasons}</ul>' if reasons else ""
    return f'<div class="figures many{" finished" if finished else ""}">{"".join(figures)}</div>{SCORES}{left}'
