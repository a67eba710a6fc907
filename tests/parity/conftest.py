"""Parity tests use full float32, also on devices that default to less in matrix products."""

import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from differences import difference

HAS_TORCH = importlib.util.find_spec("torch") is not None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignores files that import torch if it is missing or its tests are not selected.

    They are not skipped, so that `-m torch` without torch fails.
    """
    if collection_path.name == "test_live_torch.py":
        return (not HAS_TORCH or "not torch" in config.option.markexpr) or None
    return None


@pytest.fixture(autouse=True)
def highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


class Measured:
    """Largest differences to PyTorch, by backbone and quantity."""

    def __init__(self):
        self.rows: dict[str, dict[str, dict[str, float]]] = {}

    def add(
        self,
        arch: str,
        quantity: str,
        ours: Mapping[str, Any],
        reference: Mapping[str, np.ndarray],
        scale: float | None = None,
    ) -> None:
        """Records the largest difference of some arrays.

        Args:
            arch: the backbone.
            quantity: what the arrays are.
            ours: by name.
            reference: PyTorch's, under the same names.
            scale: what a relative difference is relative to; the array's largest element if None.
        """
        found = [difference(name, ours[name], value) for name, value in reference.items()]
        absolute = max(d.absolute for d in found)
        relative = max(d.relative for d in found) if scale is None else absolute / scale
        self.note(arch, quantity, {"absolute": absolute, "relative": relative})

    def note(self, arch: str, quantity: str, values: dict[str, float]) -> None:
        """Records values that are not such differences."""
        self.rows.setdefault(arch, {})[quantity] = values


@pytest.fixture(scope="session")
def measured() -> Iterator[Measured]:
    """Collects what tests measure and writes it to the file in `RDVAR_PARITY_JSON` at the end."""
    taken = Measured()
    yield taken
    if path := os.environ.get("RDVAR_PARITY_JSON"):
        Path(path).write_text(json.dumps(taken.rows, indent=1))
