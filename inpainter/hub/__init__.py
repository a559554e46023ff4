"""Models on the Hugging Face Hub and in folders: finding, pulling and publishing them."""

from .exporting import export_onnx
from .finding import Found, bundled, find, load, locate
from .publishing import check, pull, push, push_model, sample_grid, save
from .spaces import push_space

__all__ = [
    "Found",
    "bundled",
    "check",
    "export_onnx",
    "find",
    "load",
    "locate",
    "pull",
    "push",
    "push_model",
    "push_space",
    "sample_grid",
    "save",
]
