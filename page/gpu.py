"""Support for Hugging Face's ZeroGPU, which gives a GPU only to decorated functions; a no-op elsewhere."""

import os
from collections.abc import Callable

try:
    import spaces  # patches CUDA, so it must be imported before torch
except ImportError:
    spaces = None

ZERO_GPU = spaces is not None and "SPACES_ZERO_GPU" in os.environ


def on_gpu(function: Callable) -> Callable:
    """Decorates a function or generator to run on the GPU; its arguments and results must be picklable."""
    return spaces.GPU(function) if ZERO_GPU else function
