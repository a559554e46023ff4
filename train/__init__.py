"""Training and evaluation: `python -m train gan ...`, `python -m train evaluate ...`."""
