"""A run without an evaluation, in the form of `results.json` and `evaluation.json`."""

from typing import Any

from rdvar_jax.runs.config import BEST_METRICS, Config, flatten
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.checkpoint import Checkpoints
from rdvar_jax.version import __version__


def describe_untested(
    config: Config, workdir: Workdir, checkpoint: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what the folder says about its saved state, without any test image.

    Step, epoch and hashes are None before the first state is saved.

    Args:
        config: the run's, from `load_config`.
        workdir: the run's folder.
        checkpoint: "latest" or "best".

    Raises:
        CheckpointError: there are saved states, but none can be read.
    """
    best = BEST_METRICS[config.train.best_metric]
    saved = Checkpoints(workdir.checkpoints, *best).find(checkpoint)
    provenance = {} if saved is None else saved.provenance
    results = {
        "metrics": {},
        "thresholds": {"stored": None, "oracle_f1": None},
        "category": config.data.category,
        "num_images": 0,
        "num_good": 0,
        "num_defective": 0,
        "undefined": {},
        "checkpoint": checkpoint,
        "chosen_by": "last step" if checkpoint == "latest" else config.train.best_metric,
        "epoch": None if saved is None else saved.epoch,
        "step": None if saved is None else saved.step,
        "seed": None if "imported" in provenance else config.train.seed,
        "lambda_var": None if "own_loss" in provenance else config.loss.lambda_var,
        "own_loss": provenance.get("own_loss"),
        "teacher": {
            "arch": config.teacher.arch,
            "sha256": provenance.get("teacher"),
            "source_sha256": None,
        },
        "imported": provenance.get("imported"),
        "checkpoint_sha256": None if saved is None else saved.sha256,
        "versions": {"rdvar_jax": __version__},
        "device": None,
    }
    evaluation = {
        "settings": flatten(config),
        "curves": {"image_roc": None, "pixel_roc": None, "pro": None},
        "gallery": [],
    }
    return results, evaluation
