"""Recognises weights by their values, in whatever file, with or without folded normalisation.

A file's hash changes when the same values are saved by another program. The kernels of a stage,
each multiplied by the batch normalisation after it, and the shifts of that normalisation are what a
teacher computes with; two numbers of them tell one training from another: their norm, and their sum
with cosines of their places, so that order counts too.
"""

import re
from collections.abc import Mapping

import numpy as np

_STAGES = ("conv1", "layer1", "layer2", "layer3")
_EPSILON = 1e-5  # of torch's batch normalisation
# Folding in float32 changes the norm of a stage by about 1e-8 of it; another training by tenths.
_TOLERANCE = 1e-5

# Of torchvision's IMAGENET1K_V1. Computed from the file of tests/README.md, whose normalisation is
# folded; its first kernel agrees with a published print-out of torchvision's to the five digits
# printed. The other architectures have none yet.
FINGERPRINTS: dict[str, tuple[float, ...]] = {
    "resnet18": (
        4.277341847,
        -2.944756778,
        23.250380683,
        2.989053612,
        29.856295101,
        -3.155731774,
        43.503663887,
        -0.633242574,
    ),
}


def fingerprint(tensors: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """Returns the norm and the sum with cosines of each stage, stem to layer3.

    Args:
        tensors: torch's names to arrays in torch's layouts. layer4 and fc are ignored.

    Raises:
        ValueError: a normalisation lacks a tensor, or has one of another shape.
    """
    numbers: list[float] = []
    for stage in _STAGES:
        names = sorted(name for name in tensors if _is_kernel(name, stage))
        values = [
            np.asarray(part, np.float64).ravel() for n in names for part in _folded(tensors, n)
        ]
        flat = np.concatenate([np.zeros(0), *values])
        numbers += [float(np.linalg.norm(flat)), float(flat @ np.cos(np.arange(flat.size)))]
    return tuple(numbers)


def has_fingerprint(tensors: Mapping[str, np.ndarray], expected: tuple[float, ...]) -> bool:
    """Returns whether the weights are those with the fingerprint `expected`, up to rounding."""
    try:
        found = fingerprint(tensors)
    except ValueError:
        return False
    scale = np.repeat(expected[::2], 2)
    return bool(np.all(np.abs(np.subtract(found, expected)) <= _TOLERANCE * scale))


def _is_kernel(name: str, stage: str) -> bool:
    return re.match(rf"{stage}\.", name) is not None and _norm_of(name) is not None


def _norm_of(kernel: str) -> str | None:
    """Returns the normalisation after a convolution: `bn1` for `conv1.weight`."""
    for pattern, norm in (
        (r"(.*)conv(\d)\.weight", r"\1bn\2"),
        (r"(.*downsample)\.0\.weight", r"\1.1"),
    ):
        if re.fullmatch(pattern, kernel):
            return re.sub(pattern, norm, kernel)
    return None


def _folded(tensors: Mapping[str, np.ndarray], kernel: str) -> tuple[np.ndarray, np.ndarray]:
    norm = _norm_of(kernel)
    try:
        scale, shift, mean, variance = (
            np.asarray(tensors[f"{norm}.{leaf}"], np.float64)
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing") from None
    with np.errstate(all="ignore"):  # damaged values become NaN or infinite, which match nothing
        factor = scale / np.sqrt(variance + _EPSILON)
        weights = np.asarray(tensors[kernel], np.float64)
        return weights * factor.reshape(-1, *[1] * (weights.ndim - 1)), shift - mean * factor
