"""Random initial values, drawn on the host leaf by leaf.

The modules' own `init` compiles or runs the whole network, which takes 13 s for a WideResNet50
student on two CPU cores. This takes half a second, with the same values on every backend and device
count.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from rdvar_jax.devices.kept_files import Kept, kept_path, read_kept, uses_kept_files, write_kept
from rdvar_jax.devices.made_from import code_in_programs, describe


def init_variables(
    module: nn.Module, *example_args: Any, seed: int, **settings: Any
) -> dict[str, Any]:
    """Returns a module's variables with RD4AD's and torchvision's initialisation.

    Convolutions: normal with variance 2 / fan-out (`kaiming_normal_`). Deconvolutions: torch's
    default, U(-b, b) with b = 1 / sqrt(4 * channels out). Batch normalisation: scale 1, bias 0,
    mean 0, variance 1. Any other parameter, of a module of your own: normal with variance 1.

    Args:
        module: any module of this package.
        *example_args: arguments of the module; only shapes and dtypes are used.
        seed: every leaf has its own random stream, derived from the seed and the leaf's name.
        **settings: static arguments of the call, such as `train=False`.

    Returns:
        {"params": ..., "batch_stats": ...} of float32 numpy arrays.
    """
    abstract = abstract_variables(module, *example_args, **settings)
    leaves, structure = jax.tree.flatten_with_path(abstract)
    with ThreadPoolExecutor() as threads:
        drawn = threads.map(
            lambda leaf: _init_leaf(jax.tree_util.keystr(leaf[0]), leaf[1].shape, seed), leaves
        )
        return jax.tree.unflatten(structure, list(drawn))


def abstract_variables(module: nn.Module, *example_args: Any, **settings: Any) -> dict[str, Any]:
    """Returns the shapes and dtypes of a module's variables; computes nothing."""
    leaves, structure = jax.tree.flatten(example_args)
    shapes = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves)
    found = _abstract_variables(module, structure, shapes, tuple(sorted(settings.items())))
    return jax.tree.map(lambda x: x, found)  # new dicts: the caller may change them


# Tracing a WideResNet50 takes a second, and a run needs it several times. So shapes are remembered,
# and kept for other processes beside the compiled programs.
@lru_cache(maxsize=32)
def _abstract_variables(
    module: nn.Module,
    structure: Any,  # a PyTreeDef
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    settings: tuple[tuple[str, Any], ...],
) -> dict[str, Any]:
    key = _describe(module, structure, shapes, settings)
    kept = None if key is None else read_kept(kept_path("shapes", key), key)
    if kept is not None:
        return _as_shapes(kept.about)
    args = jax.tree.unflatten(structure, shapes)
    init = partial(module.init, **dict(settings))
    found = jax.eval_shape(init, jax.random.key(0), *args)
    if key is not None:
        write_kept(kept_path("shapes", key), key, Kept(_as_lists(found), b""))
    return found


def _describe(module: nn.Module, structure: Any, shapes: Any, settings: Any) -> str | None:
    """Describes all that the shapes depend on; None if that is not known in words."""
    arguments = [(x.shape, x.dtype.name) for x in shapes]
    described = describe([module, str(structure), arguments, settings])
    code = code_in_programs() if uses_kept_files() else None
    if described is None or code is None:
        return None
    return f"shapes of {described}, code {code}, jax {jax.__version__}"


def _as_lists(tree: dict[str, Any]) -> dict[str, Any]:
    return jax.tree.map(lambda x: [list(x.shape), x.dtype.name], tree)


def _as_shapes(tree: Any) -> Any:
    if isinstance(tree, list):
        return jax.ShapeDtypeStruct(tree[0], np.dtype(tree[1]))
    return {name: _as_shapes(node) for name, node in tree.items()}


def abstract_output(module: nn.Module, *example_args: Any, **settings: Any) -> Any:
    """Returns the shapes and dtypes of a module's result; traces it each time."""
    variables = abstract_variables(module, *example_args, **settings)
    return jax.eval_shape(partial(module.apply, **settings), variables, *example_args)


def _init_leaf(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    if name.endswith(("['scale']", "['var']")):
        return np.ones(shape, np.float32)
    if name.endswith(("['bias']", "['mean']")):
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng([seed, *name.encode()])
    if not name.endswith("['kernel']"):
        return rng.standard_normal(shape, np.float32)
    height, width, _, features = shape
    if (height, width) == (2, 2):  # only the deconvolutions have an even kernel
        bound = (4 * features) ** -0.5
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    deviation = np.float32((2 / (height * width * features)) ** 0.5)
    return rng.standard_normal(shape, np.float32) * deviation
