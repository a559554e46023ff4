"""The training loop: the run, the trainer, checkpoints, and watching."""
