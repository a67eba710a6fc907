"""Reads and writes safetensors files: named arrays and a dict of text metadata."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from rdvar_jax.errors import WeightsError
from rdvar_jax.files.replacing import write_bytes
from rdvar_jax.weights.printable import printable

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads every tensor, and the metadata (empty if there is none).

    bfloat16, which numpy lacks, becomes float32, exactly; all other dtypes are kept.

    Raises:
        WeightsError: the file is missing, unreadable, damaged or holds a dtype that numpy lacks.
    """
    path = Path(path)
    return parse_safetensors(path, read_file(path, "check its permissions"))


def read_file(path: Path, way_out: str) -> bytes:
    """Reads a file whole.

    Raises:
        WeightsError: it is missing or cannot be read; `way_out` says what to do about the latter.
    """
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path} is not a file; give the path of a safetensors file")
        return path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; check the path of the weight file") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path} cannot be opened ({reason}); {way_out}") from error


def parse_safetensors(
    path: Path, content: bytes, way_out: str = "download or copy it again"
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Parses the content of the file `path`; see `read_safetensors`."""
    try:
        raw_tensors = safetensors.deserialize(content)
        length = int.from_bytes(content[:8], "little")
        # The library's numpy reader fails on bfloat16, and only that one returns the metadata.
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not a complete safetensors file ({printable(error)}); {way_out}"
        ) from error
    tensors = {name: _to_array(path, name, tensor) for name, tensor in raw_tensors}
    return tensors, metadata


def _to_array(path: Path, name: str, tensor: Mapping) -> np.ndarray:
    if tensor["dtype"] == "BF16":  # the upper half of a float32
        halves = np.frombuffer(tensor["data"], "<u2").astype(np.uint32)
        values = (halves << 16).view(np.float32)
    elif tensor["dtype"] in _DTYPES:
        values = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]])
    else:
        raise WeightsError(
            f"{path} holds {printable(name)} as {printable(tensor['dtype'])}, which cannot be "
            f"read; convert it to float32"
        )
    return values.reshape(tensor["shape"])


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
) -> None:
    """Writes the file in one step: readers see the old file or the whole new one.

    Args:
        path: the file; its folder must exist.
        tensors: arrays of any layout; they are written in C order.
        metadata: text to text. The bytes depend on tensors and metadata alone.

    Raises:
        WeightsError: the folder is missing or cannot be written to, or the disk is full.
    """
    path = Path(path)
    content = safetensors_bytes(tensors, metadata)
    try:
        write_bytes(path, content)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(
            f"{path} cannot be written ({reason}); check its folder and the free disk space"
        ) from error


def safetensors_bytes(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Returns the content that `write_safetensors` writes."""
    in_order = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    return _with_metadata(safetensors.numpy.save(in_order), metadata)


def _with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    # The library writes metadata in random order, which would change the file's hash.
    length = int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items()))}
    header |= json.loads(content[8 : 8 + length])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
