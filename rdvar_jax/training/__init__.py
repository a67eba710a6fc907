"""Losses, the pure train step, its state, checkpoints and the training loop."""
