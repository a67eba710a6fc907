"""The library's map between RD4AD's names and the student's tree, for flat dicts as the reference
writes them: names under `bn.` and `decoder.`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rdvar_jax.weights.rd4ad import PARTS, student_from_rd4ad, student_to_rd4ad


def student_from_torch(weights: Mapping[str, np.ndarray], expected: Mapping) -> dict[str, Any]:
    """The student's variables, shaped as `expected`, from tensors under RD4AD's names."""
    return student_from_rd4ad({part: under(weights, part) for part in PARTS}, expected, "weights")


def student_to_torch(tree: Mapping, collection: str = "params") -> dict[str, np.ndarray]:
    """One collection of the student's variables, or gradients, under RD4AD's names."""
    return {
        f"{part}.{name}": array
        for part, tensors in student_to_rd4ad({collection: tree}).items()
        for name, array in tensors.items()
    }


def part_of(variables: Mapping, name: str) -> dict[str, Any]:
    """The variables of the student's module of this name."""
    return {collection: variables[collection][name] for collection in ("params", "batch_stats")}


def under(weights: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The tensors under `prefix.`, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}
