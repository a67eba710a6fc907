"""`rdvar threshold`: chooses the score above which an image is defective, from good images."""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.commands.good_images import name_outliers, new_images, score_images
from rdvar_jax.data.sets.excluded import exclude
from rdvar_jax.data.sets.inputs import find_inputs
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.files.sealed import write_sealed
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.data_checks import find_data
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.threshold_file import RULE, score_settings
from rdvar_jax.runs.workdir import Workdir, locked_for_results
from rdvar_jax.scoring.thresholds import (
    METHODS,
    Threshold,
    from_quantile,
    from_tail_fit,
    from_target_fpr,
)

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Method:
    """Method of choosing; `target` and `confidence` as in scoring/thresholds.py."""

    name: str = "fpr"
    target: float = 0.05
    confidence: float = 0.95
    quantile: float = 0.99

    def check(self) -> None:
        """Raises a ConfigError that names each value that cannot be used."""
        problems = []
        if self.name not in METHODS:
            problems.append(f"--method {self.name} is not one of {', '.join(METHODS)}.")
        for flag, value in (("target", self.target), ("confidence", self.confidence)):
            if not 0 < value < 1:
                problems.append(f"--{flag} {value:g} must be over 0 and under 1.")
        if not 0 < self.quantile <= 1:
            problems.append(f"--quantile {self.quantile:g} must be over 0 and at most 1.")
        if self.name == "gpd" and self.target >= 0.1:
            problems.append(
                f"--target {self.target:g} must be under 0.1 with --method gpd, which fits the "
                "highest tenth of the scores; use --method fpr."
            )
        if problems:
            raise ConfigError(*problems)

    def apply(self, scores: np.ndarray) -> Threshold:
        """Returns the threshold for float32 scores [N]."""
        if self.name == "fpr":
            return from_target_fpr(scores, self.target, self.confidence)
        if self.name == "quantile":
            return from_quantile(scores, self.quantile, self.confidence)
        return from_tail_fit(scores, self.target)


def make_threshold(
    config: Config,
    workdir: Workdir,
    method: Method,
    inputs: Sequence[Path] = (),
    checkpoint: str = "latest",
    excluded: Sequence[str] = (),
) -> dict[str, Any]:
    """Scores good images with a saved state and writes `threshold.json`.

    Images that the run was trained on, and copies of them, do not count: their scores are lower
    than those of new ones. If there are no others, there is no bound.

    Args:
        config: the run's, from `load_config`.
        workdir: the run's folder.
        method: of choosing.
        inputs: files, folders and patterns of good images that were not trained on. By default
          those held out by `data.validation`, or else the training images, without a bound, which
          would not hold.
        checkpoint: "latest" or "best".
        excluded: names and patterns of images to leave out; see `exclude`.

    Returns:
        The content of the file.

    Raises:
        UserError: the run or an image cannot be used, or the images are too few.
    """
    method.check()
    recipe = Recipe.for_prediction(config)
    with locked_for_results(workdir):
        return _make_threshold(recipe, workdir, method, inputs, checkpoint, excluded)


def _make_threshold(
    recipe: Recipe,
    workdir: Workdir,
    method: Method,
    inputs: Sequence[Path],
    checkpoint: str,
    excluded: Sequence[str],
) -> dict[str, Any]:
    config = recipe.config
    split, images = _good_images(config, inputs)
    images, left_out = exclude(images, excluded)
    run = Run(recipe, workdir)
    trained = run.load_scorer(checkpoint)
    scored = score_images(recipe, trained, split, images)
    trained_on = []
    if split != "train":
        new, trained_on = new_images(scored, workdir, trained)
        split, scored = (split, new) if new.images else ("train", scored)
    is_seen = split == "train"
    if is_seen and not trained_on:
        logger.warning(
            "these are training images, whose scores are lower than those of new ones: expect "
            "more false alarms than the threshold says; give good images that were not trained on "
            "with --input, or hold some out with data.validation when training"
        )
    outliers = name_outliers(scored)
    scores = scored.scores
    found = _apply(method, scores, 0 if is_seen else len(trained_on))
    if scores.min() == scores.max() and len(scores) > 1:
        logger.warning(
            "all %d scores are %g: the images or the run cannot tell parts apart, and any image "
            "that differs may be called defective",
            len(scores),
            scores[0],
        )
    value = {
        "threshold": found.value,
        # Of the map, for pixels: by the same rule, from the maxima of the same images' maps. With
        # score.pooling=max these are the scores.
        "pixel_threshold": method.apply(scored.peaks).value,
        "rule": RULE,
        "method": method.name,
        "target_fpr": None if method.name == "quantile" else method.target,
        "quantile": method.quantile if method.name == "quantile" else None,
        # The true rate is at most fpr_bound with this confidence. Null: no guarantee.
        "fpr_bound": None if is_seen else found.fpr_bound,
        "confidence": None if is_seen or found.fpr_bound is None else method.confidence,
        "split": split,
        "num_images": len(scores),
        "num_above": found.num_above,
        # Images that the run was trained on; they do not count, unless there are no others.
        "trained_on": [one.name for one in trained_on],
        # Images that --exclude named, and that were not scored.
        "excluded": list(left_out),
        # Images that score far above the others, and count all the same.
        "outliers": outliers,
        "scores_sha256": _hash(scored.images, scores),
        "checkpoint": checkpoint,
        "step": trained.saved.step,
        "checkpoint_sha256": trained.saved.sha256,
        "score": score_settings(config),
    }
    run.keep_ignore()
    write_sealed(workdir.threshold(checkpoint), value)
    return value


def _good_images(config: Config, inputs: Sequence[Path]) -> tuple[str, Sequence[HasPath]]:
    if inputs:
        return "input", find_inputs(inputs)
    if not config.data.root:
        raise ConfigError("this run has no data.root; give good images with --input.")
    category = find_data(config)
    split = "validation" if category.validation else "train"
    return split, category.validation or category.train


def _apply(method: Method, scores: np.ndarray, number_seen: int) -> Threshold:
    """Applies the method; an error tells how many images did not count."""
    try:
        return method.apply(scores)
    except DataError as error:
        if not number_seen:
            raise
        reason = str(error)
        raise DataError(
            f"{number_seen} of {number_seen + len(scores)} good images do not count, because this "
            f"run was trained on them, and {reason[0].lower()}{reason[1:]}"
        ) from error


def _hash(images: Sequence[HasPath], scores: np.ndarray) -> str:
    digest = hashlib.sha256()
    for image, score in zip(images, scores.astype("<f4"), strict=True):
        digest.update(os.fsencode(image.name) + b"\0" + score.tobytes())
    return digest.hexdigest()
