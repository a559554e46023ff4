"""Filling many pictures, on one machine or many: `python -m inpainter batch photos/ -o filled/ --mask masks/`.

run        from listing the pictures to the summary; reads as the outline
sources    folders, zips and Parquet, local or behind a URL (storage)
holes      what is missing in each
filling    one picture, from its file to the filled one's (pictures: formats)
outputs    files or Parquet, and what is finished (manifest: of which run)
local      the engine for one machine: a pool of processes
cluster    the engine for many: Ray Data
"""

from .filling import seed_of
from .local import EngineError
from .run import Summary, fill
from .storage import StorageError

__all__ = ["EngineError", "StorageError", "Summary", "fill", "seed_of"]
