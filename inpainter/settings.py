"""Settings: every option of a fill, defined and checked in one place."""

from dataclasses import dataclass, fields, replace
from typing import Self

from . import blending, search
from .checks import check_names, check_window, checked, one_each
from .devices import quick_precision
from .models import LatentModel
from .search import fast, losses, refine

MODES = {"fast": fast.STEPS, "paper": search.STEPS}  # mode: default number of steps; see `usual_steps`
PRECISIONS = ("auto", "float32", "bfloat16")
CHOICES = {"mode": MODES, "blend": ("auto", *blending.MODES), "norm": losses.NORMS, "precision": PRECISIONS}


@dataclass(frozen=True)
class Settings:
    """Options of a fill. No option changes the meaning of another.

    Attributes:
        mode: "fast" (see `inpainter.search.fast`), or "paper" for the method as published: random starting codes, a
            constant step size, float32.
        steps: search steps, 0 to 100,000; None: the default for the mode and model, see `usual_steps`.
        learning_rate: constant step size for Adam; None: decays to zero in fast mode, constant 0.03 in paper mode.
        prior_weight: lambda of the prior loss, zero (off) or more; one for all pictures, or one per picture.
        blend: "poisson" (CVPR eq. 6), "seamless" (the same without G's own edge at the rim, see `blending.seamless`),
            "overlay" (paste without blending) or "none" (the generated image); "auto": "seamless" for a model that sees
            the hole, else "poisson".
        seed: determines the starting code; one for all pictures, or one per picture. In fast mode, seed 0 starts from
            the proposal of the model or its encoder, if there is one.
        starts: starting codes per picture, 1 to 1,000; the best result is kept, see `inpainter.pipeline`.
        window: odd side of the importance weights' neighbourhood in pixels; "auto": 7 for 64-pixel pictures, scaled
            with the picture. None: all known pixels weigh the same, as in the paper's first version.
        norm: norm of the context loss, "l1" or "l2".
        anchor: weight of a code's squared distance from its proposal, in fast searches that start from one; 0
            minimises the paper's loss alone.
        truncation: fraction of the latent box to search, above 0 and up to 1; see `inpainter.search.box`.
        refine: refinement steps after the search, see `inpainter.search.refine`; None: the model's default after a
            fast search of at least one step, else 0.
        precision: "float32" or "bfloat16" for the networks' features in the search; "auto": bfloat16 in fast mode on
            devices that compute in it natively, else float32.
        both_ways: average the generated image with that for the mirrored picture, flipped back.
        batch_size: maximum number of rows (pictures times starts) searched at once, 1 to 4,096.

    Raises:
        TypeError, ValueError: one sentence with the option, what was expected and the value seen.
    """

    mode: str = "fast"
    steps: int | None = None
    learning_rate: float | None = None
    prior_weight: float | tuple[float, ...] = search.PRIOR_WEIGHT
    blend: str = "auto"
    seed: int | tuple[int, ...] = 0
    starts: int = 1
    window: int | str | None = "auto"
    norm: str = "l1"
    anchor: float = fast.ANCHOR
    truncation: float = 1.0
    refine: int | None = None
    precision: str = "auto"
    both_ways: bool = False
    batch_size: int = 64

    def __post_init__(self):
        for name, value in checked(vars(self), CHOICES).items():
            object.__setattr__(self, name, value)

    def with_fields(self, **changes) -> Self:
        """Returns a copy with some fields changed; raises TypeError for an unknown name."""
        check_names(changes, [field.name for field in fields(self)])
        return replace(self, **changes)

    def resolved(self, model: LatentModel, count: int) -> Self:
        """Returns a copy with every None and "auto" replaced by its value for a model and `count` pictures.

        `seed` and `prior_weight` become tuples, one value per picture. Raises ValueError if their lengths do not match,
        or if the window is larger than twice the picture's side plus one.
        """
        side = model.config.image_size
        steps = usual_steps(self.mode, model) if self.steps is None else self.steps
        window = losses.usual_window(side) if self.window == "auto" else self.window
        check_window(window, side)
        refined = self.mode == "fast" and steps > 0
        auto = quick_precision(next(model.parameters()).device) if self.mode == "fast" else "float32"
        return replace(
            self,
            steps=steps,
            prior_weight=one_each("prior_weight", self.prior_weight, count),
            seed=one_each("seed", self.seed, count),
            window=window,
            refine=(refine.usual_steps(model) if refined else 0) if self.refine is None else self.refine,
            blend=usual_blend(model) if self.blend == "auto" else self.blend,
            precision=auto if self.precision == "auto" else self.precision,
        )


def usual_steps(mode: str, model: LatentModel) -> int:
    """Returns the default number of search steps: few for a conditional model, whose start is already close."""
    return fast.CONDITIONAL_STEPS if mode == "fast" and model.conditional else MODES[mode]


def usual_blend(model: LatentModel) -> str:
    """Returns the default blending for a model: one that sees the hole may leave an edge at its rim."""
    return "seamless" if model.conditional else "poisson"
