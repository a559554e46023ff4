"""Fills many pictures, on one machine or many: `python -m inpainter batch photos/ -o filled/ --mask masks/`.

run        the outline: lists the pictures, starts an engine, returns the summary
sources    reads pictures from folders, zips and Parquet, local or at a URL (storage)
holes      finds the mask of each picture
filling    fills one picture, from file to file (pictures: formats)
outputs    writes files or Parquet, and lists what is finished (manifest: checks that it belongs to this run)
work       cuts the list into parts: what an engine reads, fills and writes at a time
local      the engine for one machine: a pool of processes
cluster    the engine for many machines: Ray Data
"""

from .filling import seed_of
from .local import EngineError
from .run import Summary, fill
from .storage import StorageError

__all__ = ["EngineError", "StorageError", "Summary", "fill", "seed_of"]
