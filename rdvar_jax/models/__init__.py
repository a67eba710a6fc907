"""Flax modules: teacher, one-class bottleneck and student decoder."""
