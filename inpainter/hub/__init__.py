"""Models on the Hugging Face Hub and in folders: finding, pulling and publishing them."""

from .finding import load, locate

__all__ = ["load", "locate"]
