"""The method: finds the latent code whose image matches the known pixels of a picture.

`losses` defines the objective and `loop` the paper's search; `fast` and `refine` go beyond it.
"""

from .loop import LEARNING_RATE, PRIOR_WEIGHT, STEPS, Callback, SearchState, box, descend, search

__all__ = ["LEARNING_RATE", "PRIOR_WEIGHT", "STEPS", "Callback", "SearchState", "box", "descend", "search"]
