"""Checkpoints read with orbax alone, without this project's code."""

from pathlib import Path

import numpy as np


def newest_step(workdir: Path) -> int:
    return max(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())


def read_state(workdir: Path, step: int) -> dict[str, np.ndarray]:
    """Every array of a checkpoint."""
    import jax
    import orbax.checkpoint as ocp

    tree = ocp.StandardCheckpointer().restore(workdir / "checkpoints" / str(step) / "default")
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_state(workdir: Path, expected: Path) -> None:
    """The newest checkpoints are of one step and hold the same arrays, bit for bit."""
    step = newest_step(workdir)
    assert step == newest_step(expected)
    state, expected_state = read_state(workdir, step), read_state(expected, step)
    assert state.keys() == expected_state.keys()
    assert not [k for k in state if not np.array_equal(state[k], expected_state[k])]
