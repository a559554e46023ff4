"""What a run looks like: the picture forming, then the comparison, as HTML with its pictures inside."""

import base64
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inpainter import Result, metrics

from .runs import Preview

GREY = 128  # what a missing pixel looks like
CURVE = (300, 60)  # width and height of the loss curve's own coordinates

WELCOME = """<div class="welcome"><p>Press <b>Run</b> and watch the hole being filled.</p>
<p>A generative model has learnt what intact pictures look like, and nothing about holes. Filling one is a search:
among all the pictures that the model can make, find the one that agrees with what is left of yours,
then blend it into the hole.</p></div>"""


@dataclass
class Run:
    """What is shown of one run: its input, how its rows are called, and the losses so far."""

    picture: NDArray[np.uint8]  # (H, W, 3), intact
    hole: NDArray[np.bool_]  # (H, W)
    prior_weights: Sequence[float]  # one a row
    steps: int
    losses: list[tuple[int, NDArray[np.float32]]] = field(default_factory=list)  # (step, context losses)

    @property
    def damaged(self) -> NDArray[np.uint8]:
        return np.where(self.hole[..., None], GREY, self.picture).astype(np.uint8)

    @property
    def rows(self) -> list[str]:
        return ["with the prior loss" if weight else "without the prior loss" for weight in self.prior_weights]


def running(run: Run, preview: Preview, seconds: float) -> str:
    """The picture forming after `seconds` of search."""
    run.losses.append((preview.step, preview.context_loss))
    left = f" · about {seconds / preview.step * (run.steps - preview.step):.0f} s left" if preview.step else ""
    figures = [figure(run.damaged, "Damaged input")]
    figures += [figure(image, f"Forming, {row}") for image, row in zip(preview.images, run.rows, strict=True)]
    return (
        f'<div role="status" class="progress">Step {preview.step} of {run.steps}{left}'
        f'<progress max="{run.steps}" value="{preview.step}" aria-label="Steps done"></progress></div>'
        f'<div class="figures" data-step="{preview.step}">{"".join(figures)}</div>{curve(run)}'
    )


def finished(run: Run, result: Result, seconds: float, steps_done: int) -> str:
    """The comparison: every way to fill the hole beside the input and the original."""
    stopped = f"Stopped after {steps_done} of {run.steps} steps" if steps_done < run.steps else f"{run.steps} steps"
    composed = {"Overlay": result.compose("overlay"), "Poisson blending": result.compose("poisson")}
    left = [zoomable(run.damaged, "Damaged input"), zoomable(run.picture, "Original")]
    figures = []
    for i, row in enumerate(run.rows):
        figures.append(left[i])
        for name, filled in composed.items():
            psnr = hole_psnr(filled[i], run.picture, run.hole)
            figures.append(zoomable(filled[i], f"{name}, {row}", f"{psnr:.1f} dB"))
    figures += left[len(run.rows) :]
    notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
    return (
        f'<div role="status" class="progress">{stopped} in {seconds:.1f} s</div>{notes}'
        f'<div class="figures finished">{"".join(figures)}</div>'
        f'<p class="hint">dB: PSNR against the original, over the pixels of the hole only; higher is closer.</p>'
        f"{curve(run)}{loss_table(run, result)}{downloads(run, result)}"
    )


def figure(image: NDArray[np.uint8], title: str, detail: str = "") -> str:
    """One picture with its caption."""
    detail = f" <b>{escape(detail)}</b>" if detail else ""
    return f"<figure>{img(image, title)}<figcaption>{escape(title)}{detail}</figcaption></figure>"


def zoomable(image: NDArray[np.uint8], title: str, detail: str = "") -> str:
    """One picture with its caption, which opens large when it is clicked."""
    name = "large-" + "".join(c for c in title.lower() if c.isalpha())
    caption = f"{escape(title)} <b>{escape(detail)}</b>"
    return (
        f'<figure><button type="button" popovertarget="{name}" title="Show large">{img(image, title)}</button>'
        f"<figcaption>{caption}</figcaption>"
        f'<div popover id="{name}">{img(image, title + ", large")}<p>{caption}</p></div></figure>'
    )


def img(image: NDArray[np.uint8], alt: str) -> str:
    """A picture (H, W, 3) as an element that holds its own data."""
    return f'<img src="{data_uri(png(image), "image/png")}" alt="{escape(alt)}" decoding="sync">'


def hole_psnr(filled: NDArray[np.uint8], original: NDArray[np.uint8], hole: NDArray[np.bool_]) -> float | None:
    """PSNR in dB over the pixels of the hole; None if there are none."""
    return float(metrics.psnr(filled, original, hole)) if hole.any() else None


def curve(run: Run) -> str:
    """The context loss over the steps, one line a row, on a logarithmic scale."""
    if len(run.losses) < 2:
        return ""
    width, height = CURVE
    steps = np.array([step for step, _ in run.losses])
    levels = np.log(np.maximum([losses for _, losses in run.losses], 1e-6))  # (previews, rows)
    x = steps / run.steps * width
    y = (levels.max() - levels) / max(np.ptp(levels), 1e-6) * height
    lines = "".join(
        f'<polyline class="row{i}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[:, i], strict=True))}"/>'
        for i in range(y.shape[1])
    )
    keys = "".join(f'<span class="row{i}">{row}</span>' for i, row in enumerate(run.rows))
    return (
        f'<figure class="curve"><svg viewBox="0 -2 {width} {height + 4}" preserveAspectRatio="none" role="img" '
        f'aria-label="Context loss over the steps">{lines}</svg>'
        f"<figcaption>Context loss (log scale) {keys}</figcaption></figure>"
    )


def loss_table(run: Run, result: Result) -> str:
    """The losses with which each row ended."""
    rows = "".join(
        f'<tr><th scope="row">{row.capitalize()}</th><td>{context:.1f}</td>'
        f"<td>{f'{prior:.2g}' if weight else 'off'}</td></tr>"
        for row, weight, context, prior in zip(
            run.rows, run.prior_weights, result.context_loss, result.prior_loss, strict=True
        )
    )
    return f"<table><tr><td></td><th>Context loss</th><th>λ &times; prior loss</th></tr>{rows}</table>"


def downloads(run: Run, result: Result) -> str:
    """Links to the result, the mask and all pictures; the files are inside the links."""
    files = {"damaged.png": png(run.damaged), "original.png": png(run.picture), "mask.png": png(mask_picture(run.hole))}
    for blend in ("poisson", "overlay"):
        for filled, weight in zip(result.compose(blend), run.prior_weights, strict=True):
            files[f"filled-{blend}{'' if weight else '-no-prior'}.png"] = png(filled)
    record = {
        "steps": run.steps,
        "prior_weight": list(run.prior_weights),
        "context_loss": result.context_loss.tolist(),
        "prior_loss": result.prior_loss.tolist(),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
        out.writestr("losses.json", json.dumps(record, indent=2) + "\n")
    links = [
        ("Download the result", "filled.png", png(result.images[0]), "image/png"),
        ("the mask", "mask.png", files["mask.png"], "image/png"),
        ("everything", "inpainter.zip", archive.getvalue(), "application/zip"),
    ]
    anchors = "".join(
        f'<a download="{name}" href="{data_uri(data, kind)}">{text}</a>' for text, name, data, kind in links
    )
    return f'<p class="downloads">{anchors}</p>'


def mask_picture(hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A hole as a picture, white = missing: uint8 (H, W, 3)."""
    return np.repeat(hole[..., None] * np.uint8(255), 3, axis=2)


def png(image: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def data_uri(data: bytes, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
