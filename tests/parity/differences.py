"""Differences between two dicts of named arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Difference:
    """Difference in one quantity.

    Attributes:
        name: of the quantity.
        absolute: the largest absolute difference of two elements.
        relative: that, divided by the largest absolute value of the reference. Dividing element by
          element would say little: next to a large element a small one is rounding.
    """

    name: str
    absolute: float
    relative: float

    def __str__(self) -> str:
        return f"{self.relative:8.1e} relative, {self.absolute:8.1e} absolute: {self.name}"


def difference(name: str, ours: Any, reference: np.ndarray) -> Difference:
    """Compares arrays of equal shape; NaN where either holds one."""
    ours = np.asarray(ours)
    assert ours.shape == reference.shape, f"{name}: {ours.shape} against {reference.shape}"
    absolute = np.abs(ours.astype(np.float64) - reference).max()
    scale = np.abs(reference).max()
    return Difference(name, float(absolute), float(absolute / scale) if absolute else 0.0)


def assert_close(
    ours: Mapping[str, Any], reference: Mapping[str, np.ndarray], tolerance: float
) -> None:
    """Fails if a relative difference is above `tolerance`, and shows all of them.

    Both must hold the same names, and at least one.
    """
    assert reference and set(ours) == set(reference), f"names: {set(ours) ^ set(reference)}"
    found = [difference(name, ours[name], value) for name, value in reference.items()]
    if not all(d.relative <= tolerance for d in found):  # so that NaN fails
        lines = "\n".join(str(d) for d in sorted(found, key=lambda d: -d.relative))
        raise AssertionError(f"further apart than {tolerance} of the largest element:\n{lines}")


def named(quantities: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The quantities whose names begin with `prefix`."""
    return {name: value for name, value in quantities.items() if name.startswith(prefix)}


def update_errors(
    ours: Mapping[str, Any], reference: Mapping[str, np.ndarray], step_size: float
) -> dict[str, float]:
    """Differences of parameters in units of `step_size`, over all elements of all tensors.

    The worst element says little in float32: where a gradient is near zero Adam makes a whole step
    out of its rounding.

    Returns:
      "median", "99 %", "largest".
    """
    errors = np.concatenate(
        [np.abs(np.asarray(ours[name]) - value).ravel() for name, value in reference.items()]
    )
    quantiles = np.quantile(errors / step_size, [0.5, 0.99, 1])
    return dict(zip(("median", "99 %", "largest"), quantiles.tolist(), strict=True))
