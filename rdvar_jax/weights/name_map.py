"""Two-way map between torch's names and layouts and those of the Flax trees.

| torch                        | Flax                                         |
|------------------------------|----------------------------------------------|
| `layer1.0.conv1.weight`      | `params/layer1/block0/conv1/kernel`          |
| `bn1.weight`, `bn1.bias`     | `params/bn1/scale`, `params/bn1/bias`        |
| `bn1.running_mean`           | `batch_stats/bn1/mean`                       |
| `bn1.running_var`            | `batch_stats/bn1/var`                        |
| `layer1.0.downsample.0`, `1` | `layer1/block0/downsample_conv`, `_bn`       |
| `layer1.0.upsample.0`, `1`   | `layer1/block0/upsample_deconv`, `_bn`       |
| Conv2d `[O, I, kh, kw]`      | `[kh, kw, I, O]`                             |
| ConvTranspose2d `[I, O, kh, kw]` | `[kh, kw, I, O]`                         |

Names do not distinguish transposed convolutions, so the caller lists them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.architectures import architecture_of_shapes
from rdvar_jax.weights.catalogue import CATALOGUE
from rdvar_jax.weights.printable import printable, printable_list

_SEQUENTIAL = {
    ("downsample", "0"): "downsample_conv",
    ("downsample", "1"): "downsample_bn",
    ("upsample", "0"): "upsample_deconv",
    ("upsample", "1"): "upsample_bn",
}
_SEQUENTIAL_BACK = {ours: theirs for theirs, ours in _SEQUENTIAL.items()}
_NORM_LEAVES = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}
_CONV_LEAVES = {"weight": ("params", "kernel"), "bias": ("params", "bias")}
_COPY_AGAIN = "download or copy it again"

# Axes for np.transpose, from torch to Flax and back.
_CONV_TO_FLAX = (2, 3, 1, 0)
_CONV_TO_TORCH = (3, 2, 0, 1)
_DECONV = (2, 3, 0, 1)  # its own inverse


def flax_path(name: str) -> tuple[str, ...]:
    """`"layer1.0.bn1.weight"` to `("params", "layer1", "block0", "bn1", "scale")`.

    Raises:
        ValueError: the name does not follow the rule.
    """
    path = _to_path(name)
    if path is None or _to_name(path) != name:
        raise ValueError(f"{name!r} is not the name of a weight in a torch residual network")
    return path


def torch_name(path: tuple[str, ...]) -> str:
    """`("params", "layer1", "block0", "bn1", "scale")` to `"layer1.0.bn1.weight"`.

    Raises:
        ValueError: the path does not follow the rule.
    """
    name = _to_name(path)
    if name is None or _to_path(name) != path:
        raise ValueError(f"{'/'.join(path)!r} has no name in a torch residual network")
    return name


def _leaves(module: str) -> dict[str, tuple[str, str]]:
    is_norm = re.fullmatch(r"bn\d+|.+_bn", module)
    return _NORM_LEAVES if is_norm else _CONV_LEAVES


def _to_path(name: str) -> tuple[str, ...] | None:
    *parts, leaf = name.split(".")
    modules: list[str] = []
    for part in parts:
        if modules and (modules[-1], part) in _SEQUENTIAL:
            modules[-1] = _SEQUENTIAL[modules[-1], part]
        else:
            modules.append(f"block{part}" if re.fullmatch("[0-9]+", part) else part)
    if not modules or leaf not in _leaves(modules[-1]):
        return None
    collection, our_leaf = _leaves(modules[-1])[leaf]
    return (collection, *modules, our_leaf)


def _to_name(path: tuple[str, ...]) -> str | None:
    if len(path) < 3:
        return None
    collection, *modules, our_leaf = path
    back = {ours: theirs for theirs, ours in _leaves(modules[-1]).items()}
    if (collection, our_leaf) not in back:
        return None
    parts: list[str] = []
    for module in modules:
        parts.extend(_SEQUENTIAL_BACK.get(module, [re.sub("^block([0-9]+)$", r"\1", module)]))
    return ".".join([*parts, back[collection, our_leaf]])


def to_flax(
    tensors: Mapping[str, np.ndarray],
    expected: Mapping[str, Any],
    *,
    source: str,
    ignore_prefixes: tuple[str, ...] = ("layer4.", "fc."),
    deconv_names: Collection[str] = frozenset(),
) -> dict[str, Any]:
    """Maps torch's tensors to the tree that a model takes.

    Every leaf of `expected` must have a tensor of its shape, and every tensor a leaf, except those
    under `ignore_prefixes` and BatchNorm's counters `num_batches_tracked`.

    Args:
        tensors: torch's names to arrays in torch's layouts, of any float dtype.
        expected: `{"params": ..., "batch_stats": ...}`, nested dicts whose leaves have a `.shape`,
            such as `jax.eval_shape` of the model's `init`.
        source: the file's name, for messages.
        ignore_prefixes: torch names that start with these are skipped.
        deconv_names: the torch names of the transposed convolutions' weights.

    Returns:
        Nested dicts like `expected`, of new float32 arrays.

    Raises:
        WeightsError: the tensors are of another architecture, some are missing, unknown or of
            another shape, or hold values that are not finite.
    """
    wanted = dict(_walk(expected))
    shapes = {
        torch_name(path): _torch_shape(leaf.shape, torch_name(path) in deconv_names)
        for path, leaf in wanted.items()
    }
    _check_fit(tensors, shapes, source, ignore_prefixes)
    tree: dict[str, Any] = {}
    for path in wanted:
        name = torch_name(path)
        place = tree
        for part in path[:-1]:
            place = place.setdefault(part, {})
        array = _to_float32(tensors[name], name, source)
        if array.ndim == 4:
            array = array.transpose(_DECONV if name in deconv_names else _CONV_TO_FLAX)
        place[path[-1]] = np.array(array, order="C")
    return tree


def to_torch(
    variables: Mapping[str, Any],
    deconv_paths: Collection[tuple[str, ...]] = frozenset(),
) -> dict[str, np.ndarray]:
    """Maps back, bit for bit: torch's names to new arrays in torch's layouts.

    Args:
        variables: `{"params": ..., "batch_stats": ...}`, nested dicts of arrays.
        deconv_paths: the paths of the transposed convolutions' kernels, `("params", ...)`.

    Raises:
        ValueError: a path that does not follow the rule.
    """
    tensors = {}
    for path, leaf in _walk(variables):
        array = np.asarray(leaf)
        if array.ndim == 4:
            array = array.transpose(_DECONV if path in deconv_paths else _CONV_TO_TORCH)
        tensors[torch_name(path)] = np.array(array, order="C")
    return tensors


def _walk(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _walk(value, (*path, key))
        else:
            yield (*path, key), value


def _torch_shape(shape: tuple[int, ...], is_deconv: bool) -> tuple[int, ...]:
    if len(shape) != 4:
        return tuple(shape)
    return tuple(shape[axis] for axis in (_DECONV if is_deconv else _CONV_TO_TORCH))


def _check_fit(
    tensors: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    source: str,
    ignore_prefixes: tuple[str, ...],
) -> None:
    found = architecture_of_shapes({name: tensor.shape for name, tensor in tensors.items()})
    asked = architecture_of_shapes(shapes)
    if found and asked and found != asked:
        other_way = f" or teacher.arch to {found}" if found in CATALOGUE else ""
        raise WeightsError(
            f"{source} holds the weights of {found}, but the teacher is {asked}; set "
            f"teacher.weights to a file for {asked}{other_way}"
        )
    missing = [name for name in shapes if name not in tensors]
    unknown = [
        name
        for name in tensors
        if name not in shapes
        and not name.startswith(ignore_prefixes)
        and name.split(".")[-1] != "num_batches_tracked"
    ]
    other_shape = [
        f"{name} is {list(tensors[name].shape)} instead of {list(shape)}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != shape
    ]
    faults = [
        f"{len(items)} {what} ({printable_list(items)})"
        for what, items in (
            ("missing", missing),
            ("unknown", unknown),
            ("of another shape", other_shape),
        )
        if items
    ]
    if faults:
        looks = f" (it looks like {found})" if found else ""
        raise WeightsError(
            f"{source}{looks} does not fit the model, with {len(shapes)} tensors expected: "
            f"{', '.join(faults)}; use a file that was saved for exactly this model"
        )


def _to_float32(tensor: np.ndarray, name: str, source: str) -> np.ndarray:
    if not np.issubdtype(tensor.dtype, np.floating):
        raise WeightsError(
            f"{source} holds {printable(name)} as {tensor.dtype} instead of floats; "
            f"use the weights from before quantisation"
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, seen below
        array = tensor.astype(np.float32)
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise WeightsError(
            f"{source} holds {bad} values in {printable(name)} that are not finite; "
            f"use weights of a training that did not diverge"
        )
    if name.endswith(".running_var") and (array < 0).any():
        raise WeightsError(f"{source} holds negative variances in {printable(name)}; {_COPY_AGAIN}")
    return array
