"""Checkpoints of RD4AD's PyTorch code: `{"bn": ..., "decoder": ...}`, two state dicts.

`bn` is the one-class bottleneck, `ocbe` in this library's tree; within each of the two the rule of
`name_map` holds. RD4AD builds and saves a convolution in `bn` that it never runs, `conv4` with
`bn4`: it is skipped on the way in, and filled in on the way out, so that names load strictly.
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
    """What a checkpoint says.

    Attributes:
        variables: the student's, `{"params": ..., "batch_stats": ...}`, float32.
        step: train steps done, as the batch normalisations counted them; 0 where none did.
    """

    variables: dict[str, Any]
    step: int


def read_rd4ad(path: str | os.PathLike[str], expected: Mapping[str, Any]) -> RD4ADCheckpoint:
    """Reads a checkpoint that RD4AD's code saved.

    Args:
        path: the `.pth` file, in either of torch's formats.
        expected: the student's variables, nested dicts whose leaves have a `.shape`.

    Raises:
        WeightsError: the file cannot be read, or holds something unknown, missing or of another
            shape; the sentence has its name.
    """
    states = _read_states(path)
    steps = [_steps_of(tensors, f"{path} ({part})") for part, tensors in states.items()]
    return RD4ADCheckpoint(student_from_rd4ad(states, expected, str(path)), max(steps))


def student_from_rd4ad(
    states: Mapping[str, Mapping[str, np.ndarray]], expected: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """The student's variables, shaped as `expected`, from both state dicts.

    Raises:
        WeightsError: as `read_rd4ad`; `source` is named.
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
    """The way back, bit for bit, without what the student does not have.

    Args:
        variables: collections of the student's, or trees shaped like them, such as gradients.
    """
    states = {}
    for theirs, ours in PARTS.items():
        part = {collection: tree[ours] for collection, tree in variables.items()}
        states[theirs] = to_torch(part, set(_deconv_paths(part)))
    return states


def with_unused(states: Mapping[str, Mapping[str, np.ndarray]], step: int) -> States:
    """Adds what RD4AD's modules have beside it, so that their names load strictly.

    The unused convolution is all zeros, which no training leaves behind; its batch normalisation
    is as it begins: 1 and 0, mean 0, variance 1, no batch counted. All others have counted `step`
    batches.
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
    mend = 'give a file that RD4AD\'s code saved, {"bn": ..., "decoder": ...}'
    if not isinstance(top, dict):
        raise WeightsError(f"{path} holds no dict; {mend}")
    missing = [part for part in PARTS if part not in top]
    if missing:
        raise WeightsError(f"{path} holds no {' and no '.join(map(repr, missing))}; {mend}")
    unknown = [name for name in top if name not in PARTS]
    if unknown:
        raise WeightsError(f"{path} holds unknown entries ({printable_list(unknown)}); {mend}")
    for part, tensors in top.items():
        others = (
            [name for name, value in tensors.items() if not _is_named_tensor(name, value)]
            if isinstance(tensors, dict)
            else [part]
        )
        if others:
            raise WeightsError(
                f"{path} ({part}) is no state dict, because of {printable_list(others)}; {mend}"
            )
    return top


def _is_named_tensor(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, np.ndarray)


def _is_mean(name: str) -> bool:
    return name.endswith(".running_mean")


def _steps_of(tensors: Mapping[str, np.ndarray], source: str) -> int:
    """The largest count of batches; 0 where torch did not count them yet (before 0.4.1)."""
    steps = 0
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        if leaf != _COUNTER:
            continue
        if f"{module}.running_mean" not in tensors:
            raise WeightsError(
                f"{source} holds {printable(name)}, of no batch normalisation; save the checkpoint "
                "again from RD4AD's modules"
            )
        if tensor.shape != () or tensor.dtype.kind not in "iu" or not 0 <= tensor < 2**31:
            raise WeightsError(
                f"{source} holds {printable(name)} that is not a count of batches; save the "
                "checkpoint again from RD4AD's modules"
            )
        steps = max(steps, int(tensor))
    return steps


def _deconv_paths(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple]:
    """Only transposed convolutions have 2x2 kernels."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _deconv_paths(value, (*path, key))
        elif len(value.shape) == 4 and tuple(value.shape[:2]) == (2, 2):
            yield (*path, key)
