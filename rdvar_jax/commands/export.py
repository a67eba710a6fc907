"""`rdvar export`: a trained run as one self-contained file that scores images."""

import base64
import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.errors import BundleError, ConfigError
from rdvar_jax.runs.bundle import describe, make_program, refuse_geometry
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.saved_run import SavedRun
from rdvar_jax.runs.threshold_file import RULE, read_threshold
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.serving.archive import (
    IGNORE,
    PROGRAM,
    WEIGHTS,
    write_bundle,
    writing_alone,
    writing_model,
)
from rdvar_jax.serving.onnx_names import IGNORE_METADATA, METADATA
from rdvar_jax.serving.program import PLATFORMS, folded_weights
from rdvar_jax.weights.safetensors_file import safetensors_bytes

logger = logging.getLogger("rdvar_jax")

FLOAT32, INT8 = "float32", "int8"
PRECISIONS = (FLOAT32, INT8)

SUFFIXES = {"stablehlo": ".rdvar", "onnx": ".onnx"}
"""Required suffix by format, so that no other file is overwritten by mistake."""


def export(
    config: Config,
    workdir: Workdir,
    output: Path,
    checkpoint: str = "latest",
    file_format: str = "stablehlo",
    threshold: float | None = None,
    precision: str = FLOAT32,
) -> str:
    """Writes a saved state as one file, atomically.

    Args:
        config: the run's, with the settings of `score` to export.
        workdir: the run's folder.
        output: the file, with the suffix of its format; an existing one is replaced.
        checkpoint: "latest" or "best".
        file_format: one of `SUFFIXES`.
        threshold: overrides the one of `rdvar threshold`.
        precision: one of `PRECISIONS`; "int8" is for ONNX alone.

    Returns:
        The file's sha256.

    Raises:
        UserError: the run or the output cannot be used, or an int8 model differs too much.
    """
    _check(output, file_format, threshold, precision)
    recipe = Recipe.for_prediction(config)
    refuse_geometry(recipe)
    with writing_alone(output):
        return _export(recipe, workdir, output, checkpoint, file_format, threshold, precision)


def _export(
    recipe: Recipe,
    workdir: Workdir,
    output: Path,
    checkpoint: str,
    file_format: str,
    threshold: float | None,
    precision: str,
) -> str:
    config = recipe.config
    run = Run(recipe, workdir).load(checkpoint)
    about = describe(
        recipe, run, checkpoint, _threshold(config, workdir, checkpoint, run, threshold)
    )
    if file_format == "onnx":
        _write_onnx(recipe, run, about, output, precision)
    else:
        program, weights = make_program(recipe, run)
        about["program"] = {"platforms": list(PLATFORMS)}
        members = {PROGRAM: program, WEIGHTS: safetensors_bytes(weights, {})}
        if recipe.ignore is not None:
            members[IGNORE] = recipe.ignore.png()
        write_bundle(output, about, members)
    with output.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_onnx(
    recipe: Recipe, run: SavedRun, about: dict[str, Any], output: Path, precision: str
) -> None:
    # Imported here, because bundles do not need the extra "onnx".
    from rdvar_jax.serving.onnx_network import build_onnx

    config = recipe.config
    if config.compute.precision == "bfloat16":
        logger.warning(
            "the run computes in bfloat16 and the ONNX model in float32: its scores differ, so "
            "choose the threshold from scores of the model"
        )
    properties = _metadata(recipe, about)
    model = build_onnx(
        config.teacher.arch,
        folded_weights(run.model.teacher_variables, run.model.student_variables),
        config.data.image_size,
        config.score.sigma,
        properties,
        config.score.pooling,
        recipe.ignored,
        recipe.method.network,
    )
    if precision == INT8:
        model = _int8(recipe, about, model)
    with writing_model(output) as temporary:
        temporary.write_bytes(model)


def _metadata(recipe: Recipe, about: dict[str, Any]) -> dict[str, str]:
    properties = {METADATA: json.dumps(about, allow_nan=False)}
    if recipe.ignore is not None:
        properties[IGNORE_METADATA] = base64.b64encode(recipe.ignore.png()).decode()
    return properties


def _int8(recipe: Recipe, about: dict[str, Any], model: bytes) -> bytes:
    # Imported here, because float32 models do without ONNX Runtime.
    from rdvar_jax.commands.thresholds.int8_images import int8_images
    from rdvar_jax.serving.int8.make_int8 import make_int8
    from rdvar_jax.serving.int8.shifted_threshold import shifted
    from rdvar_jax.serving.onnx_graph import with_metadata

    groups = int8_images(recipe)
    made = make_int8(model, groups)
    threshold = about["threshold"]
    if threshold is not None:
        good = groups.good
        (maps, scores), (maps8, scores8) = made.score_float32(good), made.score(good)
        peaks = maps.max(axis=(1, 2)), maps8.max(axis=(1, 2))
        threshold = shifted(threshold, (scores, scores8), peaks)
    about = {
        **about,
        "threshold": threshold,
        "model": {**about["model"], "precision": INT8},
        "quantisation": made.about,
    }
    return with_metadata(made.content, _metadata(recipe, about))


def _check(output: Path, file_format: str, threshold: float | None, precision: str) -> None:
    suffix = SUFFIXES[file_format]
    if precision == INT8 and file_format != "onnx":
        raise ConfigError(f"--precision {INT8} is for --format onnx; give both.")
    if output.suffix != suffix:
        raise ConfigError(f"--output {output} must end in {suffix} for --format {file_format}.")
    if output.is_dir():
        raise BundleError(f"--output {output} is a folder; give a file.")
    if threshold is not None and not math.isfinite(threshold):
        raise ConfigError(f"--threshold {threshold} must be a finite number.")


def _threshold(
    config: Config, workdir: Workdir, checkpoint: str, run: SavedRun, given: float | None
) -> dict[str, Any] | None:
    """Returns the threshold with its origin, as in `threshold.json`."""
    if given is not None:
        # Rounded to float32, like the scores that it is compared with.
        return {"threshold": float(np.float32(given)), "rule": RULE, "method": "given"}
    stored = read_threshold(config, workdir, checkpoint, run.saved)
    if stored is None:
        logger.info(
            "%s has no threshold, so the file returns scores without verdicts; run rdvar "
            "threshold first, or give --threshold",
            workdir.folder,
        )
    return stored
