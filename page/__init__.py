"""The parts of the page: `editor` and `photo` handle the input, `runs` fills holes, `tabs` show details."""

from . import gpu  # noqa: F401  must come before torch, which it may have to patch
