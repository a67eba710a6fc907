"""ONNX files as detectors, in ONNX Runtime or OpenVINO."""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rdvar_jax.data.loading.threads import num_usable_cpus
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import BundleError, first_line
from rdvar_jax.serving.manifest import read_ignore, read_ignore_sha256
from rdvar_jax.serving.onnx_file import read_onnx_file
from rdvar_jax.serving.runtimes.choice import load_onnx
from rdvar_jax.serving.runtimes.runtime import Runtime

_logger = logging.getLogger("rdvar_jax")


def load_onnx_file(
    path: Path, sha256: str | None, runtime: str
) -> tuple[dict[str, Any], Runtime, IgnoreMask | None]:
    """Loads an ONNX file's manifest, its network, and the pixels that never count.

    Args:
        path: the file.
        sha256: expected hash of it; None for no such check.
        runtime: of `choose_onnx_runtime`.

    Raises:
        BundleError: see `Detector.load`.
        BadContent: the content cannot be used.
    """
    file = read_onnx_file(path, sha256)
    ignore = read_ignore(file.ignore)
    if ignore is None and read_ignore_sha256(file.manifest) is not None:
        _logger.warning(
            "%s is of an earlier version, which kept ignored pixels in the graph alone: maps and "
            "scores are right, regions beside such pixels may be a little larger; export the run "
            "again",
            path,
        )
    try:
        loaded = load_onnx(runtime, file.content, num_usable_cpus())
    # Everything: the runtimes report graphs that they cannot run with many kinds of exceptions.
    except Exception as error:
        raise BundleError(
            f"{path} cannot be run by {runtime} {version(runtime)} ({first_line(error)}); export "
            "the run again with rdvar export --format onnx, or use another version."
        ) from error
    return file.manifest, loaded, ignore
