"""What `app.py` builds the page of: `editor` and `photo` are what one works on, `runs` fills, `tabs` tell about it."""

from . import gpu  # noqa: F401  before anything imports torch, which it may have to prepare
