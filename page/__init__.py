"""What the page needs beside its layout: the hole editor, running searches, views, snippets."""

from . import gpu  # noqa: F401  before anything imports torch, which it may have to prepare
