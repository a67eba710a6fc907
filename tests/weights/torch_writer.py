"""Writes torch's two file formats without torch, for tests; shares no code with the reader."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np


def _stub(module: str, name: str) -> type:
    return type(name, (), {"__module__": module, "__qualname__": name})


_REBUILD_TENSOR = _stub("torch._utils", "_rebuild_tensor_v2")
_REBUILD_PARAMETER = _stub("torch._utils", "_rebuild_parameter")
_STORAGE_CLASSES = {
    name: _stub("torch", name)
    for name in (
        "FloatStorage HalfStorage DoubleStorage BFloat16Storage LongStorage IntStorage "
        "ShortStorage CharStorage ByteStorage BoolStorage ComplexFloatStorage"
    ).split()
}
_TYPE_OF = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


@dataclass(eq=False)
class Storage:
    """Raw values under a torch storage class; `declared` is the length that the file claims."""

    values: np.ndarray
    type_name: str = ""
    declared: int | None = None
    key: str = ""

    @property
    def count(self) -> int:
        return len(self.values) if self.declared is None else self.declared


@dataclass(eq=False)
class Tensor:
    """A view into a storage; `metadata` and `is_parameter` as torch writes them."""

    storage: Any
    offset: Any
    size: Any
    stride: Any
    is_parameter: bool = False
    metadata: Any = None


def tensor(array: np.ndarray, **fields: Any) -> Tensor:
    """A contiguous tensor with its own storage."""
    array = np.asarray(array)
    strides = [stride // array.itemsize for stride in np.empty(array.shape, array.dtype).strides]
    return Tensor(Storage(array.reshape(-1)), 0, array.shape, tuple(strides), **fields)


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, protocol: int, is_legacy: bool):
        super().__init__(file, protocol)
        self.is_legacy = is_legacy
        self.storages: dict[str, Storage] = {}

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Storage):
            return None
        obj.key = obj.key or str(len(self.storages))
        self.storages[obj.key] = obj
        kind = _STORAGE_CLASSES[obj.type_name or _TYPE_OF[obj.values.dtype.name]]
        parts = ("storage", kind, obj.key, "cpu", obj.count)
        return (*parts, None) if self.is_legacy else parts

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor):
            return NotImplemented
        arguments = (obj.storage, obj.offset, obj.size, obj.stride, False, OrderedDict())
        if obj.metadata is not None:
            arguments = (*arguments, obj.metadata)
        if obj.is_parameter:
            plain = Tensor(obj.storage, obj.offset, obj.size, obj.stride)
            return _REBUILD_PARAMETER, (plain, True, OrderedDict())
        return _REBUILD_TENSOR, arguments


def pickled(obj: Any, *, protocol: int = 2, is_legacy: bool = False) -> tuple[bytes, dict]:
    """The object's pickle and the storages that it refers to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.__dict__.update(_STORAGE_CLASSES)
    utils.__dict__.update(_rebuild_tensor_v2=_REBUILD_TENSOR, _rebuild_parameter=_REBUILD_PARAMETER)
    file = io.BytesIO()
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        pickler = _Pickler(file, protocol, is_legacy)
        pickler.dump(obj)
    return file.getvalue(), pickler.storages


def write_zip(
    path: Path,
    obj: Any = None,
    *,
    data_pkl: bytes | None = None,
    top: str = "archive",
    byteorder: str | None = "little",
    extra: dict[str, bytes] | None = None,
    protocol: int = 2,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Writes the zip format; `data_pkl` replaces the object's pickle, `extra` adds entries."""
    content, storages = pickled(obj, protocol=protocol)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{top}/data.pkl", content if data_pkl is None else data_pkl)
        if byteorder is not None:
            archive.writestr(f"{top}/byteorder", byteorder)
        for key, storage in storages.items():
            values = storage.values
            if byteorder == "big":
                values = values.astype(values.dtype.newbyteorder(">"))
            archive.writestr(f"{top}/data/{key}", values.tobytes())
        archive.writestr(f"{top}/version", "3\n")
        for name, text in (extra or {}).items():
            archive.writestr(f"{top}/{name}", text)
    return path


def write_legacy(
    path: Path, obj: Any = None, *, object_pickle: bytes | None = None, protocol: int = 2
) -> Path:
    """Writes the stream format; `object_pickle` replaces the object's pickle."""
    content, storages = pickled(obj, protocol=protocol, is_legacy=True)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    with path.open("wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol)
        pickle.dump(1001, file, protocol)
        pickle.dump(system, file, protocol)
        file.write(content if object_pickle is None else object_pickle)
        pickle.dump(sorted(storages), file, protocol)
        for key in sorted(storages):
            file.write(struct.pack("<q", storages[key].count))
            file.write(storages[key].values.tobytes())
    return path


WRITERS = {"zip": write_zip, "legacy": write_legacy}
