"""Compiled programs, kept so that another process runs them without tracing and compiling.

JAX's own cache saves the compilation alone: to know the program, it must be traced and lowered,
which takes seconds for deep networks. Here a program is found by what its function was made from
and by the shapes of its arguments.

Only programs of one CPU device are kept. Whatever is unusual about a call or a program, JAX runs it
as if this module did not exist.
"""

import json
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from rdvar_jax.devices.canary import compiler_facts
from rdvar_jax.devices.kept_files import Kept, kept_path, read_kept, write_kept

# Settings of JAX with which programs do more than compute, or are not compiled.
UNUSUAL = ("jax_disable_jit", "jax_debug_nans", "jax_debug_infs", "jax_check_tracer_leaks")
# Words in the names of settings that no compiled program depends on.
IRRELEVANT = ("cache", "transfer_guard", "log", "garbage_collection", "source_url")


class KeptPrograms:
    """A jitted function whose compiled programs are kept in the user's cache folder.

    Args:
        fn: the function; it takes positional arguments.
        jit: makes a jitted function.
        made_from: all that the function and `jit` depend on, besides versions and machine.
        options: compiler options of XLA.
    """

    def __init__(
        self,
        fn: Callable,
        jit: Callable[..., Any],
        made_from: str,
        options: dict[str, str] | None,
    ):
        self._fn, self._jit = fn, jit
        self._made_from, self._options = made_from, options
        self._jitted = jit(fn)
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._coming: dict[Any, Future[_Program]] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jitted, name)

    def __call__(self, *args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        device = _device_of(leaves)
        if device is None or _is_unusual():
            return self._jitted(*args)
        placed = [x if isinstance(x, jax.Array) else jax.device_put(x, device) for x in leaves]
        signature = structure, tuple(map(_shape, placed)), device, _settings()
        with self._lock:
            if signature not in self._programs:
                placed_args = jax.tree.unflatten(structure, placed)
                self._programs[signature] = self._find(signature, device, placed_args)
            program = self._programs[signature]
        return program(placed, args)

    def fetch(self, device: Any, *args: Any) -> Any:
        """Begins to load the program of arguments that are not there yet.

        Args:
            device: that they will be on.
            *args: trees of their shapes.

        Returns:
            The tree of the outputs' shapes; None if the program is not kept.
        """
        leaves, structure = jax.tree.flatten(args)
        if device.platform != "cpu" or jax.process_count() > 1 or _is_unusual():
            return None
        signature = structure, tuple(map(_shape, leaves)), device, _settings()
        path, key = self._place(signature)
        kept = read_kept(path, key)
        if kept is None:
            return None
        with self._lock:
            if signature not in self._programs:
                self._coming[signature] = _loader().submit(_Program.load, kept, device, args)
        return _Program.shapes(kept, args)

    def _find(self, signature: Any, device: Any, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Reads the program of these arguments, or makes and keeps it."""
        coming = self._coming.pop(signature, None)
        try:
            if coming is not None:
                return coming.result()
            path, key = self._place(signature)
            kept = read_kept(path, key)
            if kept is not None:
                return _Program.load(kept, device, args)
        except Exception:  # of jaxlib, whose versions differ; the program is made again
            pass
        path, key = self._place(signature)
        program, kept = self._make(device, args)
        if kept is not None:
            write_kept(path, key, kept)
        return program

    def _place(self, signature: Any) -> tuple[Path, str]:
        """Returns the path of the file of a program, and its key."""
        structure, shapes, device, settings = signature
        key = json.dumps(
            {
                **compiler_facts(device, self._options),
                "device_id": device.id,
                "usable_cores": _usable_cores(),
                "settings": list(zip(_relevant_settings(), map(repr, settings), strict=True)),
                "made_from": self._made_from,
                "arguments": [str(structure), [(x, y.name, z) for x, y, z in shapes]],
            },
            sort_keys=True,
            default=repr,
        )
        return kept_path(self._name, key), key

    @property
    def _name(self) -> str:
        return getattr(self._fn, "__name__", "program").strip("<>_")

    def _make(self, device: Any, args: tuple[Any, ...]) -> tuple[Callable[..., Any], Kept | None]:
        def program(*args):
            return self._fn(*args)

        # A name that no program in JAX's cache has: one that is read from there cannot be written
        # again (jaxlib's CPU programs then lack some of their functions).
        program.__name__ = f"{self._name}_{uuid.uuid4().hex[:12]}"
        traced = self._jit(program, keep_unused=True).trace(*args)
        compiled = traced.lower().compile()
        try:
            return _Program.make(traced, compiled, device, args)
        except Exception:  # it has outputs, constants or a runtime that are not provided for
            return lambda leaves, args: compiled(*args), None


@dataclass(frozen=True)
class _Program:
    """A compiled program of one device.

    Attributes:
        executable: of jaxlib.
        outputs: describes the tree of outputs, as JSON: "leaf", None, [kind, parts...], or the
          number of the argument that has the same tree.
        shardings: of each output; None for that of a single device.
    """

    executable: Any
    outputs: Any
    shardings: Sequence[Sharding | None]

    def __call__(self, leaves: Sequence[jax.Array], args: tuple[Any, ...]) -> Any:
        results = self.executable.execute_sharded(leaves).disassemble_into_single_device_arrays()
        arrays = (
            x if sharding is None else _on(sharding, x)
            for (x,), sharding in zip(results, self.shardings, strict=True)
        )
        return _decode(self.outputs, iter(arrays), args)

    @classmethod
    def make(
        cls, traced: Any, compiled: Any, device: Any, args: tuple[Any, ...]
    ) -> "tuple[_Program, Kept]":
        """Takes a program that was just compiled.

        Raises:
            ValueError: it is not provided for.
        """
        executable = compiled.runtime_executable()
        outputs = jax.tree.unflatten(compiled.out_tree, [_LEAF] * compiled.out_tree.num_leaves)
        encoded = _encode(outputs, args)
        avals = traced.jaxpr.out_avals
        shardings = [_encode_sharding(x) for x in jax.tree.leaves(compiled.output_shardings)]
        shapes = [[list(aval.shape), aval.dtype.name] for aval in avals]
        num_arguments = len(jax.tree.leaves(args))
        if (
            any(getattr(aval, "weak_type", False) for aval in avals)
            or len(shardings) != len(avals)
            or len(executable.get_parameter_layouts()) != num_arguments  # constants are arguments
            or traced.jaxpr.effects
        ):
            raise ValueError("a program of another kind")
        content = device.client.serialize_executable(executable)
        kept = Kept({"outputs": encoded, "shapes": shapes, "shardings": shardings}, content)
        return cls.load(kept, device, args, executable), kept

    @classmethod
    def load(
        cls, kept: Kept, device: Any, args: tuple[Any, ...], executable: Any = None
    ) -> "_Program":
        """Makes the program of a file."""
        if executable is None:
            # The only place of jaxlib's list of devices.
            from jax._src.lib import xla_client  # pyright: ignore[reportPrivateImportUsage]

            executable = device.client.deserialize_executable(
                kept.content, executable_devices=xla_client.DeviceList((device,))
            )
        about = kept.about
        shardings = [_decode_sharding(x, device) for x in about["shardings"]]
        _decode(about["outputs"], iter([_LEAF] * len(shardings)), args)
        return cls(executable, about["outputs"], shardings)

    @classmethod
    def shapes(cls, kept: Kept, args: tuple[Any, ...]) -> Any:
        """Returns the tree of the outputs' shapes."""
        found = (jax.ShapeDtypeStruct(x, np.dtype(dtype)) for x, dtype in kept.about["shapes"])
        return _decode(kept.about["outputs"], found, args)


@cache
def _loader() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "load programs")


_LEAF = "leaf"
_ARRAYS = (jax.Array, np.ndarray, np.generic)


def _encode(tree: Any, args: tuple[Any, ...]) -> Any:
    """Describes a tree of leaves "leaf" as JSON; see `_Program`."""
    if tree is None or tree is _LEAF:
        return tree
    if type(tree) is dict and all(isinstance(name, str) for name in tree):
        return ["dict", *([name, _encode(tree[name], args)] for name in sorted(tree))]
    if type(tree) in (list, tuple):
        return [type(tree).__name__, *(_encode(part, args) for part in tree)]
    structure = jax.tree.structure(tree)
    for number, arg in enumerate(args):
        if jax.tree.structure(arg) == structure:
            return number
    raise ValueError(f"a tree of {type(tree).__name__}")


def _decode(encoded: Any, leaves: Any, args: tuple[Any, ...]) -> Any:
    if encoded is None:
        return None
    if encoded == _LEAF:
        return next(leaves)
    if isinstance(encoded, int):
        structure = jax.tree.structure(args[encoded])
        return jax.tree.unflatten(structure, [next(leaves) for _ in range(structure.num_leaves)])
    kind, *parts = encoded
    if kind == "dict":
        return {name: _decode(part, leaves, args) for name, part in parts}
    values = [_decode(part, leaves, args) for part in parts]
    return tuple(values) if kind == "tuple" else values


def _encode_sharding(sharding: Sharding) -> Any:
    if isinstance(sharding, SingleDeviceSharding):
        return None
    if isinstance(sharding, NamedSharding) and sharding.mesh.size == 1:
        return [list(sharding.mesh.axis_names), list(sharding.spec)]
    raise ValueError(f"the sharding {sharding}")


def _decode_sharding(encoded: Any, device: Any) -> Sharding | None:
    if encoded is None:
        return None
    names, spec = encoded
    mesh = Mesh(np.array([device]).reshape((1,) * len(names)), tuple(names))
    parts = (tuple(part) if isinstance(part, list) else part for part in spec)
    return NamedSharding(mesh, PartitionSpec(*parts))


def _on(sharding: Sharding, array: jax.Array) -> jax.Array:
    return jax.make_array_from_single_device_arrays(array.shape, sharding, [array])


def _device_of(leaves: Sequence[Any]) -> Any:
    """Returns the one CPU device of arrays, some of which may be numpy's; None in other cases."""
    found: Any = None
    sharding: Any = None
    for x in leaves:
        if isinstance(x, Tracer) or not isinstance(x, _ARRAYS):
            return None
        if isinstance(x, jax.Array):
            if not isinstance(x.dtype, np.dtype):
                return None
            if x.sharding is sharding:  # as of most: a call has hundreds of leaves
                continue
            sharding = x.sharding
            devices = sharding.device_set
            if found is None:
                found = devices
            if len(devices) != 1 or devices != found:
                return None
    if found is None or jax.process_count() > 1:
        return None
    (device,) = found
    return device if device.platform == "cpu" else None


def _is_unusual() -> bool:
    return any(getattr(jax.config, name, False) for name in UNUSUAL)


def _shape(x: Any) -> tuple[Any, ...]:
    return tuple(x.shape), x.dtype, bool(x.weak_type)


def _settings() -> tuple[Any, ...]:
    """Values of `_relevant_settings` in this thread."""
    return tuple(getattr(jax.config, name, None) for name in _relevant_settings())


@cache
def _relevant_settings() -> tuple[str, ...]:
    """Names of JAX's settings, without those that programs never depend on."""
    names = jax.config.values
    return tuple(name for name in names if not any(word in name for word in IRRELEVANT))


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
