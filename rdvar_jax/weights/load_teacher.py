"""Finds a teacher's weights, checks them and maps them to the teacher's tree."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.catalogue import fetch, refuse_v2
from rdvar_jax.weights.file_hash import sha256_of
from rdvar_jax.weights.name_map import to_flax
from rdvar_jax.weights.printable import printable
from rdvar_jax.weights.procedural import PROCEDURAL, procedural_path
from rdvar_jax.weights.weight_file import read_weights

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class TeacherSource:
    """Origin of a teacher's weights, kept with everything trained on them.

    Attributes:
        arch: the teacher's architecture.
        name: the file's name.
        sha256: the hex digest of the whole file: the identity of the weights.
        origin: the URL of a catalogue file; for timm's copy of one its name there, and that its
            values could not be compared; for others the `source` in a safetensors file's metadata,
            or else the path.
        unverified: what is not known about the file, for timm's; empty for all others.
    """

    arch: str
    name: str
    sha256: str
    origin: str
    unverified: str = ""


def load_teacher(
    arch: str, weights: str, expected: Mapping[str, Any]
) -> tuple[dict[str, Any], TeacherSource]:
    """Loads a teacher's weights.

    Args:
        arch: one of the catalogue's names, such as `"wide_resnet50_2"`.
        weights: `""` for the catalogue's file, `"procedural"` for the packaged one, or the path
            (`~` is expanded) of a `.pth`, `.pt` or safetensors file with torchvision's names and
            layouts, recognised by content. A safetensors file's metadata may name its `source` and
            the `source_sha256` of the file that it was converted from.
        expected: `{"params": ..., "batch_stats": ...}`, nested dicts whose leaves have a `.shape`.

    Returns:
        Nested dicts like `expected`, of float32 arrays, and their origin.

    Raises:
        WeightsError: no such file or architecture, a failed download, a damaged file, torchvision's
            V2 weights, or weights that do not fit.
    """
    found = None if weights else fetch(arch)
    if found is not None:
        path = found.path
    else:
        path = procedural_path() if weights == PROCEDURAL else Path(os.path.expanduser(weights))
    sha256 = sha256_of(path)
    refuse_v2(path, sha256)
    tensors, metadata = read_weights(path)
    refuse_v2(path, metadata.get("source_sha256", ""))
    variables = to_flax(tensors, expected, source=str(path))
    _refuse_not_finite(path, tensors)
    unverified = ""
    if found is not None and not found.is_verified:
        unverified = found.origin
        logger.warning("the teacher's weights are %s: %s", unverified, path)
    origin = metadata.get("source", str(path)) if found is None else found.origin
    return variables, TeacherSource(arch, path.name, sha256, origin, unverified)


def _refuse_not_finite(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise WeightsError(
                f"{path} holds values in {printable(name)} that are not finite, with which every "
                "score would be NaN; download or copy it again"
            )
