"""Reverse distillation with a variance loss for industrial anomaly detection, in JAX."""

from typing import TYPE_CHECKING, Any

from rdvar_jax.version import __version__

if TYPE_CHECKING:
    from rdvar_jax.serving.detector import Detector

__all__ = ["Detector", "__version__"]


def __getattr__(name: str) -> Any:
    # Not above: it loads JAX, which the command line does not need before its work begins.
    if name == "Detector":
        from rdvar_jax.serving.detector import Detector

        return Detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
