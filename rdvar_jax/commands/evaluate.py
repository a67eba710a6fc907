"""`rdvar evaluate`: metrics, scores and figures of a trained run."""

import logging
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from rdvar_jax.commands.evaluating.evaluated_images import score_test_images
from rdvar_jax.commands.evaluating.evaluation_set import new_evaluation
from rdvar_jax.files.replacing import write_text
from rdvar_jax.files.sealed import write_sealed
from rdvar_jax.report.figures import save_figures
from rdvar_jax.report.gallery import make_gallery
from rdvar_jax.report.results import scores_csv
from rdvar_jax.report.scale import color_scale
from rdvar_jax.runs.config import Config, flatten
from rdvar_jax.runs.fold_scores import read_good_scores
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.threshold_file import read_threshold, same_scores, score_settings
from rdvar_jax.runs.workdir import Workdir, locked_for_results, write_skipped
from rdvar_jax.scoring.all_metrics import evaluate_maps
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.scoring.points import curve_points
from rdvar_jax.scoring.thresholds import best_f1_threshold, from_mean_rate
from rdvar_jax.training.manifest import SavedStep
from rdvar_jax.version import __version__
from rdvar_jax.weights.demonstration import warn_if_for_demonstrations
from rdvar_jax.weights.file_hash import sha256_of

logger = logging.getLogger("rdvar_jax")

TARGETS = (0.01, 0.02, 0.05, 0.1)  # false-positive rates of the table

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")


def evaluate(config: Config, workdir: Workdir, checkpoint: str = "latest") -> dict[str, Any]:
    """Scores the test set with a saved state and writes results, scores and figures.

    The files replace those of an earlier evaluation together, once all are written.

    Args:
        config: the run's, from `load_config`.
        workdir: the run's folder.
        checkpoint: "latest" is what is reported; "best" is written to separate files, and is an
          oracle if the config's best metric uses the test set.

    Returns:
        The content of `results.json`.

    Raises:
        UserError: the run, its data or its weights cannot be used.
    """
    recipe = Recipe.for_evaluation(config)
    with locked_for_results(workdir):
        return _evaluate(recipe, workdir, checkpoint)


def _evaluate(recipe: Recipe, workdir: Workdir, checkpoint: str) -> dict[str, Any]:
    config = recipe.config
    run = Run(recipe, workdir)
    trained = run.load_scorer(checkpoint)
    saved = trained.saved
    stored = read_threshold(config, workdir, checkpoint, saved)
    warn_if_for_demonstrations(trained.teacher_source_sha256)
    scored = score_test_images(run, trained)
    test_set, maps, scores, names = scored.images, scored.maps, scored.scores, scored.names
    refuse_not_finite(names, scores)
    scale = color_scale(trained.counted(maps))
    defects = [record.defect for record in test_set.records]
    metrics = evaluate_maps(maps, scores, test_set.masks, test_set.labels, test_set.valid_mask)
    results = {
        "metrics": metrics,
        # "stored" comes from rdvar threshold, which saw no defects. "oracle_f1" was chosen with the
        # labels of this test set: an upper bound, not a threshold to use.
        "thresholds": {
            "stored": _at(stored["threshold"] if stored else None, scores, test_set.labels),
            "oracle_f1": _at(best_f1_threshold(scores, test_set.labels), scores, test_set.labels),
        },
        # Where the training images have scores by folds: what thresholds for other rates find.
        "targets": _at_targets(run, saved, scores, test_set.labels),
        # Training images, each scored by a network that was not trained on it; null: test images.
        "good_images": None
        if scored.folds is None
        else {"kind": "folds", **scored.folds.corrections},
        "category": config.data.category,
        "num_images": len(test_set.labels),
        "num_good": int(np.sum(test_set.labels == 0)),
        "num_defective": int(np.sum(test_set.labels == 1)),
        # Number of test images that were left out (data.on_error).
        "skipped": len(test_set.skipped),
        # Names of test images that were trained on, copies included; null where unknown.
        "trained_on": None
        if scored.trained_on is None
        else [one.name for one in scored.trained_on],
        # Metrics that the set does not define, with the reason.
        "undefined": test_set.undefined,
        # What data.mask_threshold, which may be auto, was for these masks.
        "mask_threshold": test_set.mask_threshold if test_set.has_masks else None,
        "checkpoint": checkpoint,
        "chosen_by": "last step" if checkpoint == "latest" else config.train.best_metric,
        "epoch": saved.epoch,
        "step": saved.step,
        # Unknown for an imported run, like the epoch.
        "seed": None if "imported" in saved.provenance else config.train.seed,
        # Unknown for a custom loss (`fit`).
        "lambda_var": None if "own_loss" in saved.provenance else config.loss.lambda_var,
        "own_loss": saved.provenance.get("own_loss"),
        "teacher": {
            "arch": config.teacher.arch,
            "sha256": trained.teacher_sha256,
            "source_sha256": trained.teacher_source_sha256,
            # What is not known about its file; null for those of known content.
            "unverified": trained.teacher_unverified or None,
        },
        "imported": saved.provenance.get("imported"),
        "checkpoint_sha256": saved.sha256,
        # `rdvar predict` uses it too, so that the pictures of all calls are comparable.
        "color_scale": scale,
        "versions": {
            "rdvar_jax": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "device": recipe.parallel.devices[0].device_kind,
    }
    rows = scores_csv(names, test_set.labels, defects, scores)
    masks = test_set.masks if test_set.has_masks else None
    labels = test_set.labels if test_set.has_labels else None
    run.keep_ignore()
    with new_evaluation(workdir, checkpoint) as new:
        save_figures(
            new.figures(checkpoint),
            test_set.images,
            masks,
            maps,
            scores,
            labels,
            names,
            config.report.max_figures,
            scale,
            saved.sha256,
        )
        write_text(new.scores(checkpoint), rows)
        write_skipped(new.skipped_test, ((s.name, s.reason) for s in test_set.skipped))
        new.skipped_test.touch()  # empty: this evaluation skipped none
        # Content of `rdvar report` that no other file holds.
        shown = {
            "checkpoint_sha256": saved.sha256,
            "scores_sha256": sha256_of(new.scores(checkpoint)),
            "settings": {**flatten(config), **score_settings(config)},
            "curves": curve_points(
                maps, scores, test_set.masks, test_set.labels, test_set.valid_mask
            ),
            "gallery": make_gallery(test_set.images, masks, maps, scores, labels, scale),
        }
        write_sealed(new.evaluation(checkpoint), shown)
        results["files"] = {
            path.name: sha256_of(path)
            for path in (new.scores(checkpoint), new.evaluation(checkpoint))
        }
        write_sealed(new.results(checkpoint), results)
    return results


def _at_targets(
    run: Run, saved: SavedStep, scores: np.ndarray, labels: np.ndarray
) -> list[dict[str, Any]] | None:
    """Counts the effects of the thresholds for several false-positive rates; None without folds."""
    folds = read_good_scores(run.workdir, saved)
    if folds is None or not (labels == 1).any():
        return None
    if not same_scores(folds.score, score_settings(run.config)):
        return None
    found = []
    for target in TARGETS:
        chosen = from_mean_rate(folds.scores, target)
        counts = _at(chosen.value, scores, labels)
        if counts is not None:
            found.append({"target": target, "mean_rate": chosen.mean_rate, **counts})
    return found


def _at(threshold: float | None, scores: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
    """Counts the effect of a threshold on the test set; None without one, or without labels."""
    if threshold is None or (labels < 0).any():
        return None
    called, defective = scores > np.float32(threshold), labels == 1
    num_found, num_false = int(np.sum(called & defective)), int(np.sum(called & ~defective))
    num_flagged, num_defective = num_found + num_false, int(np.sum(defective))
    both = num_flagged + num_defective
    return {
        "threshold": threshold,
        "num_found": num_found,
        "num_defective": num_defective,
        "num_false": num_false,
        "num_good": int(np.sum(~defective)),
        "f1": 2 * num_found / both if both else None,
    }
