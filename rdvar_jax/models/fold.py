"""Batch normalisation with fixed statistics, folded into the convolution before it."""

import re
from typing import Any

from rdvar_jax.models.layers import EPSILON


def fold_batch_norm(variables: dict[str, Any]) -> dict[str, Any]:
    """Gives variables with which a module computes the same in evaluation mode, with less work.

    Each kernel is multiplied by scale / sqrt(var + eps) of the normalisation behind it, and of that
    only a bias is left: (x * k - mean) * factor + bias = x * (k factor) + (bias - mean factor).
    The module sees from its variables that they are folded; such variables cannot be trained.

    Args:
        variables: {"params": ..., "batch_stats": ...} of any module of this package, numpy or JAX
          arrays. Nothing is changed in them.

    Returns:
        {"params": ...}, without statistics.
    """
    return {"params": _fold(variables["params"], variables["batch_stats"])}


def _fold(params: dict[str, Any], stats: dict[str, Any]) -> dict[str, Any]:
    folded = {}
    for name, node in params.items():
        if "kernel" in node:
            norm = norm_of(name)
            factor = params[norm]["scale"] / (stats[norm]["var"] + EPSILON) ** 0.5
            bias = params[norm]["bias"] - stats[norm]["mean"] * factor
            folded[name] = {"kernel": node["kernel"] * factor.reshape(1, 1, 1, -1)}
            folded[norm] = {"bias": bias}
        elif "scale" not in node:
            folded[name] = _fold(node, stats[name])
    return folded


def norm_of(conv: str) -> str:
    """The normalisation behind a convolution: bn1 of conv1, upsample_bn of upsample_deconv."""
    return re.sub("(de)?conv", "bn", conv)
