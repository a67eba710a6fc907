"""Writes torch's zip format without torch, for `torch.load(file, weights_only=True)`.

`reader.py` describes the layout. The pickle has only instructions that torch's restricted unpickler
accepts (`torch/_weights_only_unpickler.py`): dicts of strings, and contiguous tensors, each with
its own storage.
"""

import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.errors import WeightsError
from rdvar_jax.files.replacing import replacing

_STORAGE_OF = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "uint8": "ByteStorage",
}
_ALIGNMENT = 64  # of the values in the file, as in torch, which may memory-map them
_TOP = "archive"


def write_torch_file(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Writes dicts of arrays in one step: readers see the old file or the whole new one.

    Args:
        path: the file; its folder must exist.
        content: names to arrays in torch's layouts, or to dicts of them. The bytes depend on the
            content alone.

    Raises:
        WeightsError: the folder is missing or cannot be written to, or the disk is full.
        TypeError: a value is neither a dict nor an array of a dtype that torch has.
    """
    path = Path(path)
    storages: list[np.ndarray] = []
    pickled = b"\x80\x02" + _dict(content, storages) + b"."
    try:
        with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _add(archive, "data.pkl", pickled)
            _add(archive, "byteorder", b"little")
            for key, values in enumerate(storages):
                _add(archive, f"data/{key}", values.tobytes())
            _add(archive, "version", b"3\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(
            f"{path} cannot be written ({reason}); check its folder and the free disk space"
        ) from error


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(f"{_TOP}/{name}")  # with a fixed date
    assert archive.fp is not None
    # The header's 30 bytes, the name and this field of at least 4 bytes precede the values.
    before = archive.fp.tell() + 30 + len(entry.filename) + 4
    padding = -before % _ALIGNMENT
    entry.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    archive.writestr(entry, content)


def _dict(items: Mapping[str, Any], storages: list[np.ndarray]) -> bytes:
    pairs = (_text(name) + _value(value, storages) for name, value in items.items())
    return b"}(" + b"".join(pairs) + b"u"


def _value(value: Any, storages: list[np.ndarray]) -> bytes:
    if isinstance(value, Mapping):
        return _dict(value, storages)
    if isinstance(value, np.ndarray) and value.dtype.name in _STORAGE_OF:
        return _tensor(value, storages)
    kind = getattr(value, "dtype", type(value).__name__)
    raise TypeError(f"cannot write {kind} to a torch file")


def _tensor(array: np.ndarray, storages: list[np.ndarray]) -> bytes:
    """Pickles `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`."""
    key = str(len(storages))
    storages.append(np.asarray(array, array.dtype.newbyteorder("<"), order="C"))
    strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    storage = b"".join(
        (
            _text("storage"),
            f"ctorch\n{_STORAGE_OF[array.dtype.name]}\n".encode(),
            _text(key),
            _text("cpu"),
            _number(array.size),
        )
    )
    return b"".join(
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            storage,
            b"tQ",
            _number(0),
            *(b"(" + b"".join(map(_number, numbers)) + b"t" for numbers in (array.shape, strides)),
            b"\x89ccollections\nOrderedDict\n)RtR",
        )
    )


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _number(number: int) -> bytes:
    if number < 2**31:
        return b"J" + struct.pack("<i", number)
    return b"\x8a\x08" + struct.pack("<q", number)
