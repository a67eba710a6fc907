"""Data parallelism: runs one per-device function on all devices, by pmap or shard_map.

The devices may belong to several processes. Each process then calls the same functions in the same
order, feeds its own devices' rows of each batch, and holds its devices' shards of arrays over all
devices. pmap would take and return arrays of the process's own devices, and no compiler options; so
"pmap" is then what `jax.pmap` itself consists of, a jitted shard_map without the check.

A function is written once, for one device's shard of the batch, with collectives over `AXIS_NAME`.
`pmap` and `shard_map` wrap it unchanged. Values that are the same on every device (state, weights,
the data set) are ordinary replicated arrays in both modes, so checkpoints and host reads need no
special handling.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial, wraps
from typing import Any, Literal, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rdvar_jax.devices.compiler import compiled
from rdvar_jax.devices.made_from import note_made_from

AXIS_NAME = "data"
MODES = ("pmap", "shard_map")

Make = TypeVar("Make", bound=Callable)


def made_once(make: Make) -> Make:
    """Decorates a maker of functions: the same arguments return the same function.

    JAX compares functions by identity, so a new one is traced and compiled again. Keeps the 32 most
    recently used, and none whose arguments have no hash, such as a list or a tracer.
    """

    @lru_cache(maxsize=32)
    def remembered(*args, **kwargs):
        made = make(*args, **kwargs)
        note_made_from(made, f"{make.__module__}.{make.__qualname__}", args, kwargs)
        return made

    @wraps(make)
    def make_or_remember(*args, **kwargs):
        try:
            hash((args, tuple(kwargs.values())))
        except TypeError:
            return make(*args, **kwargs)
        return remembered(*args, **kwargs)

    # Types know neither attributes of functions nor that wraps keeps the signature.
    make_or_remember.forget = remembered.cache_clear  # type: ignore[attr-defined]
    return make_or_remember  # type: ignore[return-value]


@dataclass(frozen=True)
class Parallel:
    """Data parallelism over devices of this process, or all devices of all processes.

    Attributes:
        mode: "pmap", or "shard_map" with its check that replicated outputs are truly replicated.
        devices: the devices; the batch is split into equal shards in their order, in which those
          of one process are adjacent.
    """

    mode: Literal["pmap", "shard_map"]
    devices: tuple[Any, ...]

    @property
    def num_devices(self) -> int:
        return len(self.devices)

    @cached_property
    def local_devices(self) -> tuple[Any, ...]:
        """The devices of this process."""
        return tuple(d for d in self.devices if d.process_index == jax.process_index())

    @property
    def spans_processes(self) -> bool:
        """Whether some devices belong to other processes."""
        return len(self.local_devices) < self.num_devices

    def wrap(
        self,
        fn: Callable,
        *,
        split: Sequence[bool],
        split_output: bool,
        donate_argnums: tuple[int, ...] = (),
    ) -> Callable:
        """Wraps `fn`, written for one device, to run on all of them.

        Args:
            fn: takes arrays; of a split argument it gets one device's shard.
            split: for each argument, whether its leading axis is split over the devices (made with
              `self.shard_batch`) or every device sees all of it (made with `self.replicate`).
            split_output: whether the outputs are shards of a batch. If not, `fn` must return the
              same values on every device.
            donate_argnums: arguments whose memory the outputs may reuse.

        Returns:
            The jitted function, the same one for the same arguments. `self.gather` turns split
            outputs into arrays of the global batch.
        """
        return _wrapped(self, fn, tuple(split), split_output, donate_argnums)

    def replicate(self, tree: Any) -> Any:
        """Puts host arrays, the same in every process, on every device."""
        if self.spans_processes:
            # device_put would compare the processes' values, even a whole data set.
            return jax.tree.map(self._put_whole, tree)
        return jax.device_put(tree, self.replicated)

    def _put_whole(self, x: Any) -> jax.Array:
        x = np.asarray(x)
        return _join_shards(x.shape, self.replicated, {d: x for d in self.local_devices})

    def shard_batch(self, batch: np.ndarray) -> jax.Array:
        """Puts a host array [B, ...] on the devices, B / D rows on each.

        With several processes all pass the whole batch, and each puts its own rows.
        """
        return self.shard_own(batch[self.own_rows(len(batch))])

    def own_rows(self, batch_size: int) -> slice:
        """Returns the rows of a batch for the devices of this process."""
        share, rest = divmod(batch_size, self.num_devices)
        if rest:
            raise ValueError(f"{batch_size} rows cannot be split over {self.num_devices} devices")
        first = self.devices.index(self.local_devices[0])
        return slice(first * share, (first + len(self.local_devices)) * share)

    def shard_own(self, rows: np.ndarray) -> jax.Array:
        """Puts a batch on the devices like `shard_batch`, from the process's `own_rows` alone."""
        if self._stacks:
            rows = rows.reshape(self.num_devices, -1, *rows.shape[1:])
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS_NAME))
        if self.spans_processes:
            shares = np.split(rows, len(self.local_devices))
            shape = (len(shares[0]) * self.num_devices, *rows.shape[1:])
            return _join_shards(shape, sharding, dict(zip(self.local_devices, shares, strict=True)))
        return jax.device_put(rows, sharding)

    def batch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape on the devices of a batch [B, ...]."""
        share = shape[0] // self.num_devices, *shape[1:]
        return (self.num_devices, *share) if self._stacks else shape

    def gather(self, tree: Any) -> Any:
        """Fetches split outputs to the host as arrays [B, ...]."""
        tree = jax.device_get(tree)
        if self._stacks:
            return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
        return tree

    def make_max(self) -> Callable[[int], jax.Array]:
        """Makes a function that returns the maximum of a number over all processes.

        Every process must call it. It does not wait for the result.
        """
        largest = self.wrap(_largest, split=(True,), split_output=False)
        return lambda value: largest(self.shard_batch(np.full(self.num_devices, value, np.int32)))

    def local(self) -> "Parallel":
        """Returns the parallelism of this process's devices, for work without the others."""
        return Parallel("shard_map", self.local_devices) if self.spans_processes else self

    def to_local(self, tree: Any) -> Any:
        """Converts replicated arrays to those of `local()`, without a copy."""
        if not self.spans_processes:
            return tree
        sharding = self.local().replicated
        return jax.tree.map(
            lambda x: jax.make_array_from_single_device_arrays(
                x.shape, sharding, [shard.data for shard in x.addressable_shards]
            ),
            tree,
        )

    @property
    def replicated(self) -> NamedSharding:
        """Sharding of values that every device holds."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def mesh(self) -> Mesh:
        """Mesh of the arguments of wrapped functions."""
        return Mesh(np.array(self.devices), (AXIS_NAME,))

    @property
    def _stacks(self) -> bool:
        """Whether batches are [D, B / D, ...] on the devices, as `jax.pmap` takes them."""
        return self.mode == "pmap" and not self.spans_processes


@made_once
def _wrapped(
    parallel: Parallel,
    fn: Callable,
    split: tuple[bool, ...],
    split_output: bool,
    donate_argnums: tuple[int, ...],
) -> Callable:
    compile = partial(
        compiled, platform=parallel.devices[0].platform, donate_argnums=donate_argnums
    )
    if parallel.mode == "pmap" and not parallel.spans_processes:
        # pmap takes no compiler options; the jit around it does.
        mapped: Callable = jax.pmap(
            fn,
            AXIS_NAME,
            in_axes=tuple(0 if s else None for s in split),
            out_axes=0 if split_output else None,
            devices=parallel.devices,
            donate_argnums=donate_argnums,
        )
    else:
        shards, whole = PartitionSpec(AXIS_NAME), PartitionSpec()
        mapped = jax.shard_map(
            fn,
            mesh=parallel.mesh,
            in_specs=tuple(shards if s else whole for s in split),
            out_specs=shards if split_output else whole,
            check_vma=parallel.mode == "shard_map",
        )

    def on_all_devices(*args):
        return mapped(*args)

    on_all_devices.__name__ = getattr(fn, "__name__", "fn")
    note_made_from(on_all_devices, parallel, fn, split, split_output)
    return compile(on_all_devices)


def _largest(x):
    return jax.lax.pmax(x.max(), AXIS_NAME)


def _join_shards(
    shape: tuple[int, ...], sharding: NamedSharding, shares: dict[Any, np.ndarray]
) -> jax.Array:
    # Not make_array_from_callback: to the transfer guard its copies are implicit.
    shards = [jax.device_put(share, device) for device, share in shares.items()]
    return jax.make_array_from_single_device_arrays(shape, sharding, shards)


def as_varying(tree: Any) -> Any:
    """Marks replicated values as device-varying, so that gradients are per device.

    Under shard_map's replication check the gradient with respect to replicated values is already
    summed over the devices; under pmap it is not. Differentiating with respect to the marked values
    and averaging the gradients is correct under both. Has no effect under pmap.
    """
    return jax.tree.map(_as_varying, tree)


def _as_varying(x: jax.Array) -> jax.Array:
    return jax.lax.pcast(x, AXIS_NAME, to="varying")
