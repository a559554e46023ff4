"""The method: finds the latent code whose image agrees with what is left of a picture.

`losses` is what is minimised, `loop` the search of the paper; `fast` and `refine` go beyond it.
"""

from .loop import LEARNING_RATE, PRIOR_WEIGHT, STEPS, Callback, SearchState, box, descend, search

__all__ = ["LEARNING_RATE", "PRIOR_WEIGHT", "STEPS", "Callback", "SearchState", "box", "descend", "search"]
