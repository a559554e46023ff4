"""The training loop: run, trainer, checkpoints and monitoring."""
