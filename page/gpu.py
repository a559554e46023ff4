"""Hugging Face's ZeroGPU lends a GPU to decorated functions only; elsewhere the decorator does nothing."""

import os
from collections.abc import Callable

try:
    import spaces  # stands in for CUDA, so it must come before torch
except ImportError:
    spaces = None

ZERO_GPU = spaces is not None and "SPACES_ZERO_GPU" in os.environ


def on_gpu(function: Callable) -> Callable:
    """Runs a function or generator where the GPU is: arguments and results must be picklable."""
    return spaces.GPU(function) if ZERO_GPU else function
