"""Globals that the pickle of a torch state dict may name: tensors, storages, and OrderedDict.

A storage is a flat array of values; a tensor is an offset, a shape and strides into one
(`torch/_utils.py`). No number from the file is trusted.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdvar_jax.weights.torch_format.restricted_pickle import BadPickle, plain_key

_MOST_AXES = 32


@dataclass(frozen=True)
class StorageType:
    """A torch storage class: its name and how numpy reads its little-endian bytes."""

    name: str
    dtype: np.dtype


_STORAGE_TYPES = {
    f"torch.{name}": StorageType(name, np.dtype(dtype))
    for name, dtype in {
        "FloatStorage": "<f4",
        "HalfStorage": "<f2",
        "DoubleStorage": "<f8",
        "BFloat16Storage": "<u2",  # widened to float32 once read
        "LongStorage": "<i8",
        "IntStorage": "<i4",
        "ShortStorage": "<i2",
        "CharStorage": "i1",
        "ByteStorage": "u1",
        "BoolStorage": "u1",
    }.items()
}


def allowed_globals(rebuild_tensor: Callable[..., Any]) -> Mapping[str, Any]:
    """Returns every global that `torch.save` writes for a state dict."""
    return {
        "collections.OrderedDict": _rebuild_dict,
        "torch._utils._rebuild_tensor_v2": rebuild_tensor,
        "torch._utils._rebuild_parameter": lambda data, requires_grad, hooks: data,
        **_STORAGE_TYPES,
    }


def _rebuild_dict(*arguments: Any) -> dict[str | int, Any]:
    # Python 3 makes an empty dict and fills it; Python 2 passes a list of pairs.
    if not arguments:
        return {}
    (pairs,) = arguments
    if not isinstance(pairs, list):
        raise BadPickle("its pickle makes a dict out of what is not a list")
    made = {plain_key(key): value for key, value in pairs}
    pairs.clear()  # otherwise one long list could become thousands of long dicts
    return made


def check_storage_id(persistent_id: Any) -> tuple[StorageType, str, int]:
    """Returns (type, key, number of values) of a storage's persistent id."""
    if not isinstance(persistent_id, tuple) or len(persistent_id) not in (5, 6):
        raise BadPickle("it refers to something other than a storage")
    kind, storage_type, key, _, count, *view = persistent_id
    if not isinstance(kind, str) or kind != "storage" or not isinstance(storage_type, StorageType):
        raise BadPickle("it refers to something other than a storage")
    if not isinstance(key, str) or not isinstance(count, int) or count < 0:
        raise BadPickle("the description of a storage is damaged")
    if view and view[0] is not None:  # the stream format's sixth part
        raise BadPickle("it uses views of storages, which torch dropped before version 1.0")
    return storage_type, key, count


def decode_storage(raw: bytes, storage_type: StorageType, count: int, swapped=False) -> np.ndarray:
    """Decodes a storage's bytes to `count` values in native byte order: [count]."""
    dtype = storage_type.dtype.newbyteorder(">") if swapped else storage_type.dtype
    if len(raw) != count * dtype.itemsize:
        raise BadPickle("a storage has another size than declared")
    values = np.frombuffer(raw, dtype)
    if storage_type.name == "BFloat16Storage":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    elif storage_type.name == "BoolStorage":
        values = values != 0
    else:
        values = values.astype(dtype.newbyteorder("="), copy=False)
    return values


def tensor_builder(file_size: int) -> Callable[..., np.ndarray]:
    """Makes `torch._utils._rebuild_tensor_v2` for arrays, for a file of `file_size` bytes."""

    def rebuild_tensor(
        storage: Any,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        requires_grad: bool,
        backward_hooks: Any,
        metadata: Any = None,
    ) -> np.ndarray:
        if not isinstance(storage, np.ndarray) or storage.ndim != 1:
            raise BadPickle("a tensor has no storage")
        if not (isinstance(size, tuple) and isinstance(stride, tuple)):
            raise BadPickle("a tensor has no shape or no strides")
        if len(size) != len(stride) or len(size) > _MOST_AXES:
            raise BadPickle("a tensor has unequal or too many sizes and strides")
        if not all(isinstance(n, int) and n >= 0 for n in (offset, *size, *stride)):
            raise BadPickle("a tensor has a broken size, stride or offset")
        if metadata:
            mend = "save tensor.resolve_neg() in its place"
            raise BadPickle("a tensor is negated lazily", mend)
        if 0 in size:
            return np.zeros(size, storage.dtype)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= len(storage):
            raise BadPickle("a tensor reaches beyond its storage")
        # A stride of 0 repeats values: a few bytes could expand to any number of them.
        if math.prod(size) > file_size:
            mend = "save tensor.contiguous() in its place"
            raise BadPickle("a tensor has more values than the file has bytes", mend)
        return np.lib.stride_tricks.as_strided(
            storage[offset:],
            size,
            # The stride of an axis of length 1 is never used and may be any number.
            [step * storage.itemsize if n > 1 else 0 for n, step in zip(size, stride, strict=True)],
            writeable=False,
        )

    return rebuild_tensor
