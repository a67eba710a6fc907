"""Content of a bundle, from a trained run: manifest, program and weights."""

from importlib.metadata import version
from typing import Any

import numpy as np

from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.saved_run import SavedRun
from rdvar_jax.scoring.defects import needs_pixel_threshold
from rdvar_jax.scoring.pooling import describe_pooling
from rdvar_jax.serving.manifest import read_pixel_threshold
from rdvar_jax.serving.program import bundled_weights, export_program, folded_weights
from rdvar_jax.version import __version__

ASPECTS = {
    "squash": "aspect ratio not kept",
    "crop": "aspect ratio kept, centre crop",
    "pad": "aspect ratio kept, padding of the colour 124, 116, 104 around it",
}
"""Description of each `data.geometry` that can be exported; see data/pixels/geometry.py."""


def refuse_geometry(recipe: Recipe) -> None:
    """Raises a ConfigError if a bundle cannot apply the run's geometry."""
    mode = recipe.geometry.mode
    if mode not in ASPECTS:
        raise ConfigError(
            f"a run with data.geometry={mode} cannot be exported; only {', '.join(ASPECTS)} can."
        )


def make_program(recipe: Recipe, run: SavedRun) -> tuple[bytes, dict[str, np.ndarray]]:
    """Returns the scoring function, serialised by `jax.export`, and its weights by name."""
    model, config = run.model, recipe.config
    networks, size = (model.teacher, model.student), config.data.image_size
    precision = config.compute.precision
    weights = folded_weights(model.teacher_variables, model.student_variables)
    weights = bundled_weights(*networks, weights, size, precision)
    program = export_program(
        *networks,
        weights,
        size,
        config.score.sigma,
        precision,
        config.score.pooling,
        recipe.ignored,
    )
    return program, weights


def describe(
    recipe: Recipe, run: SavedRun, checkpoint: str, threshold: dict[str, Any] | None
) -> dict[str, Any]:
    """Returns a bundle's manifest, without the program's platforms.

    Raises:
        ConfigError: `score.min_area` needs a threshold of pixels, and there is none.
    """
    config, geometry = recipe.config, recipe.geometry
    about = {
        "image": {
            "height": geometry.height,
            "width": geometry.width,
            "geometry": geometry.mode,
            "channels": "RGB",
            "type": "uint8",
            # Of files: the value that is white in grey of more than 8 bits (null: the type's own),
            # and the most pixels.
            "full_scale": geometry.reading.full_scale,
            "max_pixels": geometry.reading.max_pixels,
            # Of the training images, width by height, lowest and highest; null if unknown.
            "aspects": run.saved.provenance.get("aspects"),
            # Done before the program, which starts with the normalisation.
            "resize": f"Pillow bilinear (antialiased, rounded to uint8), {ASPECTS[geometry.mode]}",
            "normalisation": "of ImageNet, inside the program",
        },
        "map": {
            "sigma": config.score.sigma,
            # "max", or the share of pixels that are averaged.
            "pooling": config.score.pooling,
            "score": describe_pooling(config.score.pooling),
            # Of the pixels that never count, in the picture ignore.png; null if all count.
            "ignore_sha256": None if recipe.ignore is None else recipe.ignore.sha256,
        },
        "threshold": threshold,
        "model": {
            "name": config.model.name,
            "arch": config.teacher.arch,
            "stem_width": config.teacher.stem_width,
            "precision": config.compute.precision,
        },
        "run": {
            "category": config.data.category,
            "checkpoint": checkpoint,
            "step": run.saved.step,
            "epoch": run.saved.epoch,
            "checkpoint_sha256": run.saved.sha256,
            "teacher_sha256": run.teacher_sha256,
        },
        "versions": {
            "rdvar_jax": __version__,
            **{name: version(name) for name in ("jax", "jaxlib", "numpy", "pillow")},
        },
    }
    if config.score.min_area > 0:
        about["min_area"] = config.score.min_area
        if read_pixel_threshold(about) is None:
            raise ConfigError(needs_pixel_threshold(config.score.min_area))
    return about
