"""Reverse distillation with a variance loss for industrial anomaly detection, in JAX."""

from rdvar_jax.version import __version__

__all__ = ["__version__"]
