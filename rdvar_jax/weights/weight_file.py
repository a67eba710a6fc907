"""Reads a weight file of any known format, recognised by its content."""

from pathlib import Path

import numpy as np

from rdvar_jax.weights.safetensors_file import read_safetensors
from rdvar_jax.weights.torch_format.reader import read_torch_file


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads torch's names to arrays in torch's layouts, and the metadata, empty in torch's files.

    Raises:
        WeightsError: the file is missing, unreadable, damaged or in another format.
    """
    if is_safetensors(path):
        return read_safetensors(path)
    return read_torch_file(path), {}


def is_safetensors(path: Path) -> bool:
    """Checks for 8 bytes of header length and a JSON header, as safetensors files begin."""
    with path.open("rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    return head[8:] == b"{" and length <= path.stat().st_size
