"""Reads safetensors with numpy alone: where bundles are used, that package need not be there."""

import json
import math

import numpy as np


def parse_safetensors(content: bytes) -> dict[str, np.ndarray]:
    """The float32 arrays of a safetensors file, read-only and without a copy.

    The format: the header's length in 8 bytes, little-endian; the header, JSON with dtype, shape
    and the bounds of each array in what follows; the arrays.

    Raises:
        ValueError: `content` is no such file, or holds another type.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:start])
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _array(content, start, entry) for name, entry in entries.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no safetensors header: {error}") from error


def _array(content: bytes, start: int, entry: dict) -> np.ndarray:
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    count = math.prod(shape)
    if entry["dtype"] != "F32" or begin < 0 or end - begin != 4 * count:
        raise ValueError(f"{entry} is no float32 array")
    return np.frombuffer(content, "<f4", count, start + begin).reshape(shape)
