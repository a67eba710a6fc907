"""Reading of the student's arrays alone, a third of a state, by the library under orbax."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

ARRAYS = "default"  # in a step's folder; orbax's name of what is saved without one
STUDENT = ("params", "batch_stats")


def read_student_arrays(folder: Path, expected: Mapping[str, Any]) -> dict[str, Any] | None:
    """Reads the student's variables of a step.

    Args:
        folder: of the step, whose files have been compared with their hashes.
        expected: trees of shapes and dtypes by the names of `STUDENT`.

    Returns:
        The same trees of numpy arrays; None if orbax has laid out its files in another way, or the
        arrays have other shapes. Then only orbax can read them, or say what is wrong.
    """
    base = folder / ARRAYS
    if not (base / "manifest.ocdbt").is_file():
        return None
    import tensorstore

    context = tensorstore.Context()
    leaves, structure = jax.tree.flatten_with_path({name: expected[name] for name in STUDENT})
    try:
        opened = [
            tensorstore.open(
                {"driver": "zarr", "kvstore": _place(base, path)},
                context=context,
                open=True,
                read=True,
            )
            for path, _ in leaves
        ]
        reading = [future.result().read() for future in opened]
        arrays = [np.asarray(future.result()) for future in reading]
    except (ValueError, OSError, RuntimeError):  # tensorstore's, for anything unexpected
        return None
    fit = all(
        (x.shape, x.dtype) == (leaf.shape, leaf.dtype)
        for x, (_, leaf) in zip(arrays, leaves, strict=True)
    )
    return jax.tree.unflatten(structure, arrays) if fit else None


def _place(base: Path, path: tuple[Any, ...]) -> dict[str, Any]:
    """Names an array's place in orbax's files: the names of its path, joined by dots."""
    name = ".".join(part.key for part in path)
    # Not a URL, in which a folder's name could mean another one.
    files = {"driver": "file", "path": f"{base}/"}
    return {"driver": "ocdbt", "base": files, "path": f"{name}/"}
