"""What is trained: one file a recipe, each a command of `python -m train`."""
