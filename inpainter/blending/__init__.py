"""Blends a generated image into a hole, and a filled face into its photo."""

from .harmonic import harmonic_solver
from .photo import BLENDS, Square, paste_back
from .poisson import MODES, compose

__all__ = ["BLENDS", "MODES", "Square", "compose", "harmonic_solver", "paste_back"]
