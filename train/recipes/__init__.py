"""Training recipes, one per file, each a command of `python -m train`."""
