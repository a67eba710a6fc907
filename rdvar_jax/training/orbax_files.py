"""Reading and writing of a step's arrays by orbax, whose import takes a quarter of a second."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp


def write_arrays(folder: Path, step: int, values: dict[str, Any]) -> None:
    """Writes a tree of arrays to `folder/<step>`, and waits until it is there."""
    options = ocp.CheckpointManagerOptions(
        create=False,
        enable_async_checkpointing=False,
        multiprocessing_options=_this_process_only(),
    )
    with ocp.CheckpointManager(folder, options=options) as manager:
        manager.save(step, args=ocp.args.StandardSave(values))


def read_arrays(folder: Path, step: int, target: dict[str, Any]) -> dict[str, Any]:
    """Reads the tree of arrays in `folder/<step>`.

    Args:
        folder: of all steps.
        step: the one to read.
        target: `jax.ShapeDtypeStruct` with shardings.
    """
    options = ocp.CheckpointManagerOptions(
        create=False, read_only=True, multiprocessing_options=_this_process_only()
    )
    with ocp.CheckpointManager(folder, options=options) as manager:
        if jax.process_count() == 1:
            return manager.restore(step, args=ocp.args.StandardRestore(target))
        empty = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), target)
        values = manager.restore(step, args=ocp.args.StandardRestore(empty))

    def put(x: jax.ShapeDtypeStruct, value: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(x.shape, x.sharding, lambda rows: value[rows])

    return jax.tree.map(put, target, values)


def _this_process_only() -> ocp.options.MultiprocessingOptions:
    """Options with which orbax neither waits for other processes nor shares work with them."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process{index}"
    )
