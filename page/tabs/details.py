"""The tab with a fill's details: the pictures side by side, the losses and the loss curve."""

import numpy as np

from ..runs.outcome import Outcome
from .views import figure, hint, in_steps, of_scene

CURVE = (300, 60)  # width and height of the loss curve in its own coordinates
DB = "dB: PSNR against the original, over hole pixels only; higher is closer, though blur also scores well."


def show(outcome: Outcome) -> str:
    """Returns the details as HTML."""
    best = outcome.filled(0)
    figures = [
        figure(outcome.damaged, "Damaged"),
        figure(best, "Best candidate" if outcome.rows > 1 else "Filled", f"{outcome.psnr(best):.1f} dB"),
        figure(outcome.scene.picture, "Original"),
    ]
    return of_scene(
        outcome.id,
        f'<div class="figures">{"".join(figures)}</div>{hint(DB)}{_table(outcome)}{_curve(outcome)}',
    )


def caption(outcome: Outcome, candidate: int) -> str:
    """Returns the caption of a candidate."""
    best = "best, " if candidate == 0 and outcome.rows > 1 else ""
    return f"{best}{outcome.psnr(outcome.filled(candidate)):.1f} dB"


def _table(outcome: Outcome) -> str:
    """Returns a table of the candidates' final losses."""
    result = outcome.result
    rows = "".join(
        f'<tr><th scope="row">Candidate {number + 1}</th><td>{outcome.scene.choice.settings.seed + row}</td>'
        f"<td>{result.context_loss[row]:.1f}</td><td>{result.prior_loss[row]:.3g}</td>"
        f"<td>{outcome.psnr(result.images[row]):.1f} dB</td></tr>"
        for number, row in enumerate(outcome.order)
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("", "Seed", "Context loss", "Prior loss", "PSNR"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _curve(outcome: Outcome) -> str:
    """Plots the context loss over the steps on a logarithmic scale, one line per candidate."""
    if len(outcome.curve) < 2:
        return ""
    width, height = CURVE
    steps = np.array([step for step, _ in outcome.curve])
    losses = np.array([loss for _, loss in outcome.curve])  # (previews, rows)
    levels = np.log(np.maximum(losses, 1e-6))
    x = steps / max(1, steps[-1]) * width
    y = (levels.max() - levels) / max(np.ptp(levels), 1e-6) * height
    lines = "".join(
        f'<polyline class="{"best" if row == outcome.row(0) else ""}" points="'
        + " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[:, row], strict=True))
        + '"/>'
        for row in range(losses.shape[1])
    )
    label = f"Context loss over {in_steps(steps[-1])}, from {losses[0].max():.0f} to {losses[-1].min():.1f}"
    return (
        f'<figure class="curve"><svg viewBox="0 -2 {width} {height + 4}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{lines}</svg><figcaption>{label} (logarithmic)</figcaption></figure>'
    )
