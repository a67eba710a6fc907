"""`teacher.safetensors` of a run: its copy of the teacher, sealed like its other files.

The sha256 of tensors and metadata is in the metadata, so that damage is found from the first moment
on. Later each checkpoint's manifest has the sha256 of the whole file too.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rdvar_jax.errors import WeightsError
from rdvar_jax.files.sealed import SEAL, content_hash
from rdvar_jax.weights.name_map import to_flax, to_torch
from rdvar_jax.weights.safetensors_file import parse_safetensors, read_file, write_safetensors

ENTRIES = {"arch", "source_sha256"}
UNVERIFIED = "unverified"  # only if there is something to say


class TeacherCopy(NamedTuple):
    """The teacher of a run.

    Attributes:
        variables: {"params", "batch_stats"}, numpy arrays.
        sha256: of the copy.
        source_sha256: of the file that it was copied from, or "random".
        unverified: what is not known about that file; see `TeacherSource`.
    """

    variables: dict[str, Any]
    sha256: str
    source_sha256: str
    unverified: str = ""


def write_teacher(
    path: Path,
    arch: str,
    variables: Mapping[str, Any],
    source_sha256: str,
    unverified: str = "",
) -> None:
    """Writes the copy. The source's path is not kept: the hashes identify the weights.

    Raises:
        WeightsError: the file cannot be written.
    """
    tensors, metadata = to_torch(variables), {"arch": arch, "source_sha256": source_sha256}
    metadata |= {UNVERIFIED: unverified} if unverified else {}
    write_safetensors(path, tensors, {**metadata, SEAL: _hash(tensors, metadata)})


def read_teacher_copy(path: Path, arch: str, expected: Mapping[str, Any]) -> TeacherCopy:
    """Reads the copy; that of an earlier version has no seal.

    Args:
        path: the file.
        arch: the run's architecture.
        expected: see `to_flax`.

    Raises:
        WeightsError: it is missing, damaged, or of another teacher.
    """
    way_out = (
        "restore it from a copy, or remove it and run the same rdvar train command again, which "
        "copies the teacher again"
    )
    content = read_file(path, way_out)
    tensors, metadata = parse_safetensors(path, content, way_out)
    if metadata.keys() - {SEAL, UNVERIFIED} != ENTRIES:
        raise WeightsError(f"{path} is damaged (its metadata are not those of a run); {way_out}")
    digest = metadata.pop(SEAL, None)
    if digest is not None and digest != _hash(tensors, metadata):
        raise WeightsError(f"{path} is damaged (its sha256 does not fit its content); {way_out}")
    if metadata["arch"] != arch:
        raise WeightsError(f"{path} holds a {metadata['arch']}, not a {arch}; {way_out}")
    variables = to_flax(tensors, expected, source=str(path))
    sha256 = hashlib.sha256(content).hexdigest()
    return TeacherCopy(variables, sha256, metadata["source_sha256"], metadata.get(UNVERIFIED, ""))


def _hash(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    hashes = {}
    for name, tensor in tensors.items():
        array = np.asarray(tensor, order="C")
        digest = hashlib.sha256(array.data if array.size else b"").hexdigest()
        hashes[name] = [array.dtype.str, list(array.shape), digest]
    return content_hash({"tensors": hashes, "metadata": dict(metadata)})
