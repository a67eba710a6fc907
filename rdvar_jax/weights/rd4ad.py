"""Checkpoints of RD4AD's PyTorch code: `{"bn": ..., "decoder": ...}`, two state dicts.

`bn` is the one-class bottleneck, `ocbe` in this library's tree; within both the rule of `name_map`
applies. RD4AD builds and saves a convolution in `bn` that it never runs, `conv4` with `bn4`: it is
skipped on import and filled in on export, so that RD4AD can load the names strictly.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.name_map import to_flax, to_torch, torch_name
from rdvar_jax.weights.printable import printable, printable_list
from rdvar_jax.weights.torch_format.reader import read_torch_object

PARTS = {"bn": "ocbe", "decoder": "decoder"}
_UNUSED = {"bn": ("conv4.", "bn4."), "decoder": ()}
_COUNTER = "num_batches_tracked"

States = dict[str, dict[str, np.ndarray]]


class RD4ADCheckpoint(NamedTuple):
    """Content of an RD4AD checkpoint.

    Attributes:
        variables: the student's, `{"params": ..., "batch_stats": ...}`, float32.
        step: train steps as counted by batch normalisation; 0 without a count.
    """

    variables: dict[str, Any]
    step: int


def read_rd4ad(path: str | os.PathLike[str], expected: Mapping[str, Any]) -> RD4ADCheckpoint:
    """Reads a checkpoint that RD4AD's code saved.

    Args:
        path: the `.pth` file, in either torch format.
        expected: the student's variables, nested dicts whose leaves have a `.shape`.

    Raises:
        WeightsError: the file cannot be read, or a tensor is unknown, missing or of another shape;
            the message names it.
    """
    states = _read_states(path)
    steps = [_steps_of(tensors, f"{path} ({part})") for part, tensors in states.items()]
    return RD4ADCheckpoint(student_from_rd4ad(states, expected, str(path)), max(steps))


def student_from_rd4ad(
    states: Mapping[str, Mapping[str, np.ndarray]], expected: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Converts both state dicts to the student's variables, shaped as `expected`.

    Raises:
        WeightsError: see `read_rd4ad`; the message names `source`.
    """
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for theirs, ours in PARTS.items():
        part = {collection: expected[collection][ours] for collection in variables}
        tree = to_flax(
            states[theirs],
            part,
            source=f"{source} ({theirs})",
            ignore_prefixes=_UNUSED[theirs],
            deconv_names={torch_name(path) for path in _deconv_paths(part)},
        )
        for collection in variables:
            variables[collection][ours] = tree[collection]
    return variables


def student_to_rd4ad(variables: Mapping[str, Any]) -> States:
    """Converts back, bit for bit, without tensors that the student lacks.

    Args:
        variables: the student's collections, or trees shaped like them, such as gradients.
    """
    states = {}
    for theirs, ours in PARTS.items():
        part = {collection: tree[ours] for collection, tree in variables.items()}
        states[theirs] = to_torch(part, set(_deconv_paths(part)))
    return states


def with_unused(states: Mapping[str, Mapping[str, np.ndarray]], step: int) -> States:
    """Adds the other tensors of RD4AD's modules, so that it can load the names strictly.

    The unused convolution is all zeros, unlike any trained one; its batch normalisation has its
    initial values: 1 and 0, mean 0, variance 1, no batch counted. All others count `step` batches.
    """
    filled = {part: dict(tensors) for part, tensors in states.items()}
    for tensors in filled.values():
        for module in [name.rpartition(".")[0] for name in tensors if _is_mean(name)]:
            tensors[f"{module}.{_COUNTER}"] = np.array(step, np.int64)
    channels = filled["bn"]["conv2.weight"].shape[0]  # 4C, where C is layer1's
    zeros, ones = np.zeros(2 * channels, np.float32), np.ones(2 * channels, np.float32)
    filled["bn"] |= {
        "conv4.weight": np.zeros((2 * channels, 4 * channels, 1, 1), np.float32),
        "bn4.weight": ones,
        "bn4.bias": zeros,
        "bn4.running_mean": zeros,
        "bn4.running_var": ones,
        f"bn4.{_COUNTER}": np.array(0, np.int64),
    }
    return filled


def _read_states(path: str | os.PathLike[str]) -> States:
    top = read_torch_object(path)
    remedy = 'pass a file that RD4AD\'s code saved, {"bn": ..., "decoder": ...}'
    if not isinstance(top, dict):
        raise WeightsError(f"{path} does not hold a dict; {remedy}")
    missing = [part for part in PARTS if part not in top]
    if missing:
        raise WeightsError(f"{path} lacks {' and '.join(map(repr, missing))}; {remedy}")
    unknown = [name for name in top if name not in PARTS]
    if unknown:
        raise WeightsError(f"{path} holds unknown entries ({printable_list(unknown)}); {remedy}")
    for part, tensors in top.items():
        others = (
            [name for name, value in tensors.items() if not _is_named_tensor(name, value)]
            if isinstance(tensors, dict)
            else [part]
        )
        if others:
            raise WeightsError(
                f"{path} ({part}) is not a state dict, because of {printable_list(others)}; "
                f"{remedy}"
            )
    return top


def _is_named_tensor(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, np.ndarray)


def _is_mean(name: str) -> bool:
    return name.endswith(".running_mean")


def _steps_of(tensors: Mapping[str, np.ndarray], source: str) -> int:
    """Returns the largest count of batches; 0 if torch did not count them yet (before 0.4.1)."""
    steps = 0
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        if leaf != _COUNTER:
            continue
        if f"{module}.running_mean" not in tensors:
            raise WeightsError(
                f"{source} holds {printable(name)} without a batch normalisation; save the "
                "checkpoint again from RD4AD's modules"
            )
        if tensor.shape != () or tensor.dtype.kind not in "iu" or not 0 <= tensor < 2**31:
            raise WeightsError(
                f"{source} holds {printable(name)} that is not a count of batches; save the "
                "checkpoint again from RD4AD's modules"
            )
        steps = max(steps, int(tensor))
    return steps


def _deconv_paths(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple]:
    """Yields paths of 2x2 kernels, which only transposed convolutions have."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _deconv_paths(value, (*path, key))
        elif len(value.shape) == 4 and tuple(value.shape[:2]) == (2, 2):
            yield (*path, key)
