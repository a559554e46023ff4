"""What a run looks like: the picture forming, then the comparison, as HTML with its pictures inside."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from .files import data_uri, downloads, png
from .outcomes import Outcome

CURVE = (300, 60)  # width and height of the loss curve's own coordinates

WELCOME = """<div class="welcome"><p>Draw over the picture: what was there is filled as soon as
you lift the brush. Press <b>Run</b> for a longer search, compared with and without its parts.</p>
<p>A generative model has learnt what intact pictures look like, and nothing about holes. Filling one is a search:
among all the pictures that the model can make, find the one that agrees with what is left of yours,
then blend it into the hole.</p></div>"""


def running(outcome: Outcome) -> str:
    """The picture forming."""
    preview, steps, candidates = outcome.previews[-1], outcome.settings.steps, outcome.settings.candidates
    left = f" · about {outcome.seconds / preview.step * (steps - preview.step):.0f} s left" if preview.step else ""
    figures = [figure(outcome.damaged, "Damaged input")]
    for row in range(outcome.rows if candidates == 1 else candidates):
        title = f"Forming, {outcome.title(row)}" if candidates == 1 else f"Forming, candidate {row + 1}"
        figures.append(figure(preview.images[row], title))
    return (
        f'<div role="status" class="progress">Step {preview.step} of {steps}{left}'
        f'<progress max="{steps}" value="{preview.step}" aria-label="Steps done"></progress></div>'
        f'<div class="figures" data-step="{preview.step}">{"".join(figures)}</div>{curve(outcome)}'
    )


def finished(outcome: Outcome, chosen: int) -> str:
    """The comparison for a candidate: every way to fill the hole beside the input and the original."""
    steps, result, rows = outcome.settings.steps, outcome.result, outcome.rows_of(chosen)
    done = f"{steps} steps" if outcome.steps_done == steps else f"Stopped after {outcome.steps_done} of {steps} steps"
    which = f", candidate {chosen + 1} of {outcome.settings.candidates}" if outcome.settings.candidates > 1 else ""
    composed = {"Overlay": result.compose("overlay"), "Poisson blending": result.compose("poisson")}
    left = [zoomable(outcome.damaged, "Damaged input"), zoomable(outcome.picture, "Original")]
    figures = []
    for i, row in enumerate(rows):
        figures.append(left[i])
        for name, filled in composed.items():
            figures.append(
                zoomable(filled[row], f"{name}, {outcome.title(row)}", f"{outcome.psnr(filled[row]):.1f} dB")
            )
    figures += left[len(rows) :]
    notes = "".join(f"<p>{escape(note)}</p>" for note in dict.fromkeys(result.notes))
    return (
        f'<div role="status" class="progress">{done} in {outcome.seconds:.1f} s{which}</div>{notes}'
        f'<div class="figures finished">{"".join(figures)}</div>'
        f'<p class="hint">dB: PSNR against the original, over the pixels of the hole only; higher is closer.</p>'
        f"{downloads(outcome, chosen)}{curve(outcome)}{loss_table(outcome, chosen)}"
    )


def live(outcome: Outcome) -> str:
    """The picture filled while it is drawn over: a proposal, then as it is refined, then as it stays."""
    preview, steps, result = outcome.previews[-1], outcome.settings.steps, outcome.result
    filled, quality, below = preview.images[0], "", ""
    if result is None:
        status = f"Refining: step {preview.step} of {steps}" if preview.step else "A first proposal"
    else:
        status = f"Filled in {outcome.seconds:.1f} s, {outcome.steps_done} steps"
        filled = result.images[0]
        quality = f"{outcome.psnr(filled):.1f} dB"
        notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
        below = (
            f'{notes}<p class="hint">dB: PSNR against the original, over the pixels of the hole only. '
            f"<b>Run</b> searches longer, and compares.</p>{downloads(outcome, 0)}"
        )
    show = figure if result is None else zoomable
    figures = [
        show(outcome.damaged, "Damaged input"),
        show(filled, "Filled", quality),
        show(outcome.picture, "Original"),
    ]
    return (
        f'<div role="status" class="progress">{status}'
        f'<progress max="{steps}" value="{preview.step}" aria-label="Steps done"></progress></div>'
        f'<div class="figures live" data-step="{"done" if result else preview.step}">{"".join(figures)}</div>{below}'
    )


def figure(image: NDArray[np.uint8], title: str, detail: str = "") -> str:
    """One picture with its caption."""
    detail = f" <b>{escape(detail)}</b>" if detail else ""
    return f"<figure>{img(image, title)}<figcaption>{escape(title)}{detail}</figcaption></figure>"


def zoomable(image: NDArray[np.uint8], title: str, detail: str = "", more: str = "", *, prefix: str = "large") -> str:
    """One picture with its caption, which opens large when it is clicked.

    Titles of one `prefix` must differ; `more` is a second line of the caption.
    """
    name = f"{prefix}-" + "".join(c for c in title.lower() if c.isalpha())
    caption = f"{escape(title)} <b>{escape(detail)}</b>" + (f"<br>{escape(more)}" if more else "")
    return (
        f'<figure><button type="button" popovertarget="{name}" title="Show large">{img(image, title)}</button>'
        f"<figcaption>{caption}</figcaption>"
        f'<div popover id="{name}">{img(image, title + ", large")}<p>{caption}</p></div></figure>'
    )


def img(image: NDArray[np.uint8], alt: str) -> str:
    """A picture (H, W, 3) as an element that holds its own data."""
    return f'<img src="{data_uri(png(image))}" alt="{escape(alt)}" decoding="sync">'


def candidate_caption(outcome: Outcome, candidate: int) -> str:
    """What tells candidates apart: their number, loss and likeness to the original."""
    loss = outcome.result.context_loss[candidate] + outcome.result.prior_loss[candidate]
    best = ", best" if candidate == outcome.best() else ""
    return f"{candidate + 1}{best}: loss {loss:.1f} · {outcome.psnr(outcome.result.images[candidate]):.1f} dB"


def curve(outcome: Outcome) -> str:
    """The context loss over the steps, one line a search, on a logarithmic scale."""
    if len(outcome.previews) < 2:
        return ""
    width, height = CURVE
    steps = np.array([preview.step for preview in outcome.previews])
    losses = np.array([preview.context_loss for preview in outcome.previews])  # (previews, rows)
    levels = np.log(np.maximum(losses, 1e-6))
    x = steps / outcome.settings.steps * width
    y = (levels.max() - levels) / max(np.ptp(levels), 1e-6) * height
    kinds = [row // outcome.settings.candidates for row in range(outcome.rows)]
    lines = "".join(f'<polyline class="row{kind}" points="{points(x, y[:, row])}"/>' for row, kind in enumerate(kinds))
    keys = "".join(
        f'<span class="row{kind}">{outcome.title(kind * outcome.settings.candidates)}</span>'
        for kind in dict.fromkeys(kinds)
    )
    return (
        f'<figure class="curve"><svg viewBox="0 -2 {width} {height + 4}" preserveAspectRatio="none" role="img" '
        f'aria-label="Context loss over the steps, from {losses[0].max():.0f} to {losses[-1].min():.1f}">{lines}</svg>'
        f"<figcaption>Context loss over the steps (log scale) {keys}</figcaption></figure>"
    )


def points(x: NDArray, y: NDArray) -> str:
    """Coordinates as an SVG polyline takes them."""
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def loss_table(outcome: Outcome, chosen: int) -> str:
    """The losses with which a candidate's searches ended."""
    rows = "".join(
        f'<tr><th scope="row">{outcome.title(row).capitalize()}</th><td>{outcome.result.context_loss[row]:.1f}</td>'
        f"<td>{f'{outcome.result.prior_loss[row]:.2g}' if outcome.prior_weight(row) else 'off'}</td></tr>"
        for row in outcome.rows_of(chosen)
    )
    head = '<tr><td></td><th scope="col">Context loss</th><th scope="col">λ &times; prior loss</th></tr>'
    return f"<table>{head}{rows}</table>"
