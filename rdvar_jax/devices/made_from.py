"""Descriptions of functions by what they were made from, equal in every process.

A compiled program is found again by the description of its function, without tracing it. So the
description must hold all that the function depends on: the maker, its arguments, and the code.
"""

import dataclasses
import hashlib
import time
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FunctionType
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

PACKAGE = "rdvar_jax"
# Rooms whose code is in compiled programs, and the libraries that they trace with.
ROOMS = ("devices", "models", "scoring", "training")
LIBRARIES = ("flax", "numpy", "optax")

# Code that changed later than this long before it was imported may be other than what runs.
MARGIN_SECONDS = 5.0
_IMPORTED = time.time()

_known: weakref.WeakKeyDictionary[Callable, str] = weakref.WeakKeyDictionary()


def note_made_from(made: Any, *parts: Any) -> None:
    """Notes from what a function, or each function of a tuple, was made.

    Args:
        made: the function; of anything else nothing is noted.
        *parts: the maker's name and its arguments. Where one has no description, nothing is noted.
    """
    text = describe(parts)
    if text is None:
        return
    functions = made if isinstance(made, tuple) else (made,)
    for index, function in enumerate(functions):
        if isinstance(function, FunctionType):
            _known[function] = f"{text}[{index}]"


def describe(value: Any) -> str | None:
    """Describes plain values, objects of this package and noted functions; None for any other."""
    if value is None or isinstance(value, bool | int | float | str | bytes | np.dtype):
        return repr(value)
    if isinstance(value, list | tuple):
        return _joined(type(value).__name__, value)
    if isinstance(value, Mapping):
        return _joined("dict", sorted(value.items())) if all(map(_is_name, value)) else None
    if isinstance(value, jax.Device):
        return f"{value.platform}:{value.id}"
    if isinstance(value, NamedSharding):
        devices = sorted(value.device_set, key=lambda device: device.id)
        return _joined("sharding", (str(value), *devices))
    if isinstance(value, FunctionType):
        return _known.get(value)
    return _describe_fields(value)


def _describe_fields(value: Any) -> str | None:
    kind = type(value)
    own = kind.__module__.partition(".")[0] == PACKAGE
    if not own or not dataclasses.is_dataclass(value):
        return None
    # A Flax module's parent is that of the trace in which it is bound, and None outside.
    names = [f.name for f in dataclasses.fields(value) if f.name != "parent"]
    found = [(name, getattr(value, name)) for name in names]
    return _joined(f"{kind.__module__}.{kind.__qualname__}", found)


def _joined(name: str, values: Any) -> str | None:
    texts = [describe(value) for value in values]
    return None if None in texts else f"{name}({', '.join(map(str, texts))})"


def _is_name(key: Any) -> bool:
    return isinstance(key, str)


@cache
def code_in_programs() -> str | None:
    """Returns a hash of the code that compiled programs come from; None where it is not known.

    It is unknown without source files, and where one changed as this process started.
    """
    digest = hashlib.sha256()
    folder = Path(__file__).resolve().parents[1]
    paths = sorted(path for room in ROOMS for path in (folder / room).glob("**/*.py"))
    try:
        for path in paths:
            if path.stat().st_mtime > _IMPORTED - MARGIN_SECONDS:
                return None
            content = path.read_bytes()
            digest.update(f"\0{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    except OSError:
        return None
    for name in LIBRARIES:
        digest.update(f"\0{name} {_version_of(name)}".encode())
    return digest.hexdigest() if paths else None


def _version_of(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "missing"
