"""`rdvar threshold`: chooses the score above which an image is defective, from good images."""

import hashlib
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.commands.thresholds.good_images import ScoredImages, name_outliers, score_images
from rdvar_jax.commands.thresholds.threshold_images import Good, find_good
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
from rdvar_jax.scoring.drift import kept_scores
from rdvar_jax.scoring.pooling import MAX
from rdvar_jax.scoring.thresholds import (
    METHODS,
    Threshold,
    from_cost,
    from_mean_rate,
    from_quantile,
    from_tail_fit,
    from_target_fpr,
)

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Method:
    """Method of choosing; `target` and `confidence` as in scoring/thresholds.py.

    `cost_missed` is the cost of a missed defect in false alarms, of the method "cost" alone.
    """

    name: str = "mean"
    target: float = 0.05
    confidence: float = 0.95
    quantile: float = 0.99
    cost_missed: float | None = None

    @classmethod
    def of_flags(
        cls,
        name: str | None,
        target: float,
        confidence: float | None,
        quantile: float,
        cost_missed: float | None,
    ) -> "Method":
        """Returns the method that flags ask for, if they do not name one."""
        if name is None:
            name = "mean" if confidence is None else "fpr"
            name = name if cost_missed is None else "cost"
        confidence = 0.95 if confidence is None else confidence
        return cls(name, target, confidence, quantile, cost_missed)

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
                "highest tenth of the scores; use --method mean."
            )
        if self.cost_missed is not None and not 0 < self.cost_missed < math.inf:
            problems.append(f"--cost_missed {self.cost_missed:g} must be over 0 and finite.")
        if (self.cost_missed is None) == (self.name == "cost"):
            problems.append("--cost_missed and --method cost belong together; give both.")
        if problems:
            raise ConfigError(*problems)

    def apply(self, scores: np.ndarray, defective: np.ndarray | None = None) -> Threshold:
        """Returns the threshold for float32 scores [N] of good images, and of defective ones."""
        if self.cost_missed is not None:
            assert defective is not None
            return from_cost(scores, defective, self.cost_missed)
        if self.name == "mean":
            return from_mean_rate(scores, self.target)
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
    bad: Sequence[Path] = (),
) -> dict[str, Any]:
    """Scores good images with a saved state and writes `threshold.json`.

    Images that the run was trained on, and copies of them, do not count: their scores are lower
    than those of new ones. If there are no others, there is no bound.

    Args:
        config: the run's, from `load_config`.
        workdir: the run's folder.
        method: of choosing.
        inputs: files, folders and patterns of good images that were not trained on. By default
          those held out by `data.validation`; or the training images, by the scores of
          `train.folds`, or else by their own, without a bound, which would not hold.
        checkpoint: "latest" or "best".
        excluded: names and patterns of images to leave out; see `exclude`.
        bad: files, folders and patterns of defective images, for the method "cost"; by default
          those of the run, `data.bad` or the defective test images.

    Returns:
        The content of the file.

    Raises:
        UserError: the run or an image cannot be used, or the images are too few.
    """
    method.check()
    recipe = Recipe.for_prediction(config)
    with locked_for_results(workdir):
        run = Run(recipe, workdir)
        good = find_good(run, inputs, checkpoint, excluded)
        return _make_threshold(run, method, good, checkpoint, bad)


def _make_threshold(
    run: Run, method: Method, good: Good, checkpoint: str, bad: Sequence[Path]
) -> dict[str, Any]:
    is_seen, scores = good.split == "train", good.scores
    outliers = name_outliers(good.names, scores)
    defective = _score_defective(run, good, checkpoint, bad) if method.name == "cost" else None
    of_defective = None if defective is None else defective.scores
    found = _apply(method, scores, 0 if is_seen else len(good.trained_on), of_defective)
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
        "pixel_threshold": _pixel_threshold(run, method, good, found, defective),
        "rule": RULE,
        "method": method.name,
        "target_fpr": None if method.name in ("quantile", "cost") else method.target,
        "quantile": method.quantile if method.name == "quantile" else None,
        # The true rate is at most fpr_bound with this confidence. Null: no guarantee.
        "fpr_bound": None if is_seen else found.fpr_bound,
        "confidence": None if is_seen or found.fpr_bound is None else method.confidence,
        # The true rate on average over draws of the good images, and between what it is in 9 of 10
        # draws.
        "mean_rate": None if is_seen else found.mean_rate,
        "rate_low": None if is_seen else found.rate_low,
        "rate_high": None if is_seen else found.rate_high,
        # Of the method "cost", which uses the labels of these defective images.
        "cost_missed": method.cost_missed,
        "num_defective": None if of_defective is None else len(of_defective),
        "num_missed": None if of_defective is None else int(np.sum(of_defective <= found.value)),
        "split": good.split,
        # Of the split "folds": how the scores were corrected; see `good_scores.json`.
        "folds": None if good.folds is None else good.folds.corrections,
        "num_images": len(scores),
        "num_above": found.num_above,
        # Images that the run was trained on; they do not count, unless there are no others.
        "trained_on": [one.name for one in good.trained_on],
        # Images that --exclude named, and that were not scored.
        "excluded": list(good.excluded),
        # Images that score far above the others, and count all the same.
        "outliers": outliers,
        # Of the images that counted, sorted: later scores are compared with them.
        "good_scores": None if is_seen else kept_scores(scores),
        "scores_sha256": _hash(good.names, scores),
        "checkpoint": checkpoint,
        "step": good.saved.step,
        "checkpoint_sha256": good.saved.sha256,
        "score": score_settings(run.config),
    }
    run.keep_ignore()
    write_sealed(run.workdir.threshold(checkpoint), value)
    return value


def _pixel_threshold(
    run: Run, method: Method, good: Good, found: Threshold, defective: ScoredImages | None
) -> float:
    """Applies the same rule to the maxima of the maps; with score.pooling=max these are scores."""
    if run.config.score.pooling == MAX:
        return found.value
    return method.apply(good.peaks, None if defective is None else defective.peaks).value


def _score_defective(run: Run, good: Good, checkpoint: str, bad: Sequence[Path]) -> ScoredImages:
    """Scores the defective images that the method "cost" needs."""
    if bad:
        images: Sequence[HasPath] = find_inputs(bad)
    else:
        has_data = run.config.data.root or run.config.data.good
        test = find_data(run.config).test if has_data else ()
        images = [record for record in test if record.label == 1]
    if not images:
        raise ConfigError(
            "--cost_missed weighs missed defects, and this run knows of no defective images; give "
            "some with --bad."
        )
    scorer = good.scorer or run.load_scorer(checkpoint)
    return score_images(run.recipe, scorer, "bad", images)


def _apply(
    method: Method, scores: np.ndarray, number_seen: int, defective: np.ndarray | None
) -> Threshold:
    """Applies the method; an error tells how many images did not count."""
    try:
        return method.apply(scores, defective)
    except DataError as error:
        if not number_seen:
            raise
        reason = str(error)
        raise DataError(
            f"{number_seen} of {number_seen + len(scores)} good images do not count, because this "
            f"run was trained on them, and {reason[0].lower()}{reason[1:]}"
        ) from error


def _hash(names: Sequence[str], scores: np.ndarray) -> str:
    digest = hashlib.sha256()
    for name, score in zip(names, scores.astype("<f4"), strict=True):
        digest.update(os.fsencode(name) + b"\0" + score.tobytes())
    return digest.hexdigest()
