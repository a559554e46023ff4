"""Finds, pulls and publishes models, in folders and on the Hugging Face Hub."""

from ..models.base import checksum
from .export import export_onnx
from .finding import Found, bundled, find, load, load_encoder, locate
from .publish import check, pull, push, push_model, sample_grid, save
from .spaces import push_space

__all__ = [
    "Found",
    "bundled",
    "check",
    "checksum",
    "export_onnx",
    "find",
    "load",
    "load_encoder",
    "locate",
    "pull",
    "push",
    "push_model",
    "push_space",
    "sample_grid",
    "save",
]
