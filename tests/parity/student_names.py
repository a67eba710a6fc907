"""RD4AD's names for what is trained, `bn.` and `decoder.`, and this library's tree, `ocbe` and
`decoder`. The rule within each of them is `rdvar_jax.weights.name_map`'s.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rdvar_jax.weights.name_map import to_flax, to_torch, torch_name

PARTS = {"bn": "ocbe", "decoder": "decoder"}


def student_from_torch(weights: Mapping[str, np.ndarray], expected: Mapping) -> dict[str, Any]:
    """The student's variables, shaped as `expected`, from tensors under RD4AD's names."""
    variables = {"params": {}, "batch_stats": {}}
    for theirs, ours in PARTS.items():
        part = part_of(expected, ours)
        tree = to_flax(
            under(weights, theirs),
            part,
            source=theirs,
            ignore_prefixes=(),
            deconv_names={torch_name(path) for path in _deconv_paths(part)},
        )
        for collection in variables:
            variables[collection][ours] = tree[collection]
    return variables


def student_to_torch(tree: Mapping, collection: str = "params") -> dict[str, np.ndarray]:
    """One collection of the student's variables, or gradients, under RD4AD's names."""
    arrays = {}
    for theirs, ours in PARTS.items():
        variables = {collection: tree[ours]}
        tensors = to_torch(variables, set(_deconv_paths(variables)))
        arrays |= {f"{theirs}.{name}": array for name, array in tensors.items()}
    return arrays


def part_of(variables: Mapping, name: str) -> dict[str, Any]:
    """The variables of the student's module of this name."""
    return {collection: variables[collection][name] for collection in ("params", "batch_stats")}


def under(weights: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The tensors under `prefix.`, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}


def _deconv_paths(tree: Mapping, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Only transposed convolutions have 2x2 kernels."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _deconv_paths(value, (*path, key))
        elif len(value.shape) == 4 and value.shape[:2] == (2, 2):
            yield (*path, key)
