"""Kernels in the form in which scoring on CPU is fastest, for given shapes of the images."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rdvar_jax.models import few_rows, winograd

COLLECTIONS = (winograd.COLLECTION, few_rows.COLLECTION)


def with_prepared_kernels(
    module: Any,
    variables: dict[str, Any],
    *shapes: Any,
    collections: Sequence[str] = COLLECTIONS,
    **kwargs: Any,
):
    """Returns variables with which a module uses the other forms where they are faster.

    Which kernels are replaced, by transformed (`winograd.py`) or transposed ones (`few_rows.py`),
    depends on the size and number of the images, so the variables are for calls with these shapes.
    Call it under `jax.jit`, which then computes only the kernels and nothing of the module's
    result.

    Args:
        module: any module of this package.
        variables: its variables, folded or not; not modified.
        *shapes: arguments of the module, trees of `jax.ShapeDtypeStruct`.
        collections: the forms to choose from.
        **kwargs: for the module's call.

    Returns:
        The variables without the replaced kernels, and the collections of their replacements.
    """
    arrays = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    _, found = module.apply(variables, *arrays, **kwargs, mutable=collections)
    params = variables["params"]
    for replacements in found.values():
        params = _without(params, replacements)
    return {**variables, "params": params, **found}


def _without(params: dict[str, Any], replacements: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, node in params.items():
        if not isinstance(node, dict):
            kept |= {} if name in replacements else {name: node}
        else:
            kept[name] = _without(node, replacements.get(name, {}))
    return kept
