"""A trained run as a bundle's content: what it says of itself, its program and its weights."""

from importlib.metadata import version
from typing import Any

import numpy as np

from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.saved_run import SavedRun
from rdvar_jax.serving.program import export_program, folded_weights
from rdvar_jax.version import __version__

ASPECTS = {
    "squash": "aspect ratio not kept",
    "crop": "aspect ratio kept, the middle cut out",
    "pad": "aspect ratio kept, a border of the colour 124, 116, 104 around it",
}
"""What `data.geometry` does to an image, in words; data/pixels/geometry.py has the numbers."""


def refuse_geometry(recipe: Recipe) -> None:
    """Raises a ConfigError where the run's images cannot be brought to size by a bundle."""
    mode = recipe.geometry.mode
    if mode not in ASPECTS:
        raise ConfigError(
            f"a run with data.geometry={mode} cannot be exported; only {', '.join(ASPECTS)} can."
        )


def make_program(recipe: Recipe, run: SavedRun) -> tuple[bytes, dict[str, np.ndarray]]:
    """Returns the scoring function as `jax.export` keeps it, and its weights by name."""
    model, config = run.model, recipe.config
    weights = folded_weights(model.teacher_variables, model.student_variables)
    program = export_program(
        model.teacher,
        model.student,
        weights,
        config.data.image_size,
        config.score.sigma,
        config.compute.precision,
    )
    return program, weights


def describe(
    recipe: Recipe, run: SavedRun, checkpoint: str, threshold: dict[str, Any] | None
) -> dict[str, Any]:
    """What a bundle says of itself: its manifest, without the program's platforms."""
    config, geometry = recipe.config, recipe.geometry
    return {
        "image": {
            "height": geometry.height,
            "width": geometry.width,
            "geometry": geometry.mode,
            "channels": "RGB",
            "type": "uint8",
            # Before the program. Its first operation is the normalisation.
            "resize": f"Pillow bilinear (antialiased, rounded to uint8), {ASPECTS[geometry.mode]}",
            "normalisation": "of ImageNet, inside the program",
        },
        "map": {"sigma": config.score.sigma, "score": "largest value of the map"},
        "threshold": threshold,
        "model": {
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
