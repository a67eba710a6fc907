"""Folding of batch normalisation with fixed statistics into the preceding convolution."""

import re
from typing import Any

from rdvar_jax.models.layers import EPSILON


def fold_batch_norm(variables: dict[str, Any]) -> dict[str, Any]:
    """Returns variables that give the same result in evaluation mode with less work.

    Each kernel is multiplied by scale / sqrt(var + eps) of the normalisation after it, which keeps
    only a bias: (x * k - mean) * factor + bias = x * (k factor) + (bias - mean factor).
    Modules detect folded variables by themselves; these cannot be trained.

    Args:
        variables: {"params": ..., "batch_stats": ...} of any module of this package, numpy or JAX
          arrays; not modified.

    Returns:
        {"params": ...}, without statistics.
    """
    return {"params": _fold(variables["params"], variables["batch_stats"])}


def _fold(params: dict[str, Any], stats: dict[str, Any]) -> dict[str, Any]:
    folded = {}
    for name, node in params.items():
        if not isinstance(node, dict):  # of a module of the user's own
            folded[name] = node
        elif "kernel" in node:
            norm = norm_of(name)
            factor = params[norm]["scale"] / (stats[norm]["var"] + EPSILON) ** 0.5
            bias = params[norm]["bias"] - stats[norm]["mean"] * factor
            folded[name] = {"kernel": node["kernel"] * factor.reshape(1, 1, 1, -1)}
            folded[norm] = {"bias": bias}
        elif "scale" not in node:
            folded[name] = _fold(node, stats[name])
    return folded


def norm_of(conv: str) -> str:
    """Name of a convolution's normalisation: bn1 for conv1, upsample_bn for upsample_deconv."""
    return re.sub("(de)?conv", "bn", conv)
