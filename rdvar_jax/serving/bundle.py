"""Bundles as detectors: a program of `jax.export` with its weights."""

from pathlib import Path
from typing import Any

import jax
import safetensors.numpy

from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.devices.forked import refuse_in_fork
from rdvar_jax.errors import BundleError, CompilerError, first_line
from rdvar_jax.serving.archive import IGNORE, PROGRAM, WEIGHTS, read_bundle
from rdvar_jax.serving.manifest import BadContent, jax_version, read_geometry, read_ignore
from rdvar_jax.serving.runtimes.exported_program import ExportedProgram


def load_bundle(
    path: Path, sha256: str | None, batch: int
) -> tuple[dict[str, Any], ExportedProgram, IgnoreMask | None]:
    """Loads a bundle's manifest, its program, and the pixels that never count.

    Args:
        path: the file.
        sha256: expected hash of it; None for no such check.
        batch: images scored at once, at most.

    Raises:
        BundleError, CompilerError: see `Detector.load`.
        BadContent: the content cannot be used.
    """
    refuse_in_fork()
    manifest, members = read_bundle(path, sha256)
    try:
        weights = safetensors.numpy.load(members[WEIGHTS])
        ignore = read_ignore(members.get(IGNORE))
        geometry = read_geometry(manifest)
        size = geometry.height, geometry.width
        return manifest, ExportedProgram(members[PROGRAM], weights, size, batch), ignore
    except (BadContent, CompilerError):
        raise
    # Everything: the hashes are right, so the program is from another JAX or for other
    # devices, which jax.export reports with many kinds of exceptions.
    except Exception as error:
        made = jax_version(manifest) or "another version"
        raise BundleError(
            f"{path} cannot be run by jax {jax.__version__} on {jax.default_backend()} "
            f"({first_line(error)}); it was made with jax {made}: use that version, or export "
            "again with this one."
        ) from error
