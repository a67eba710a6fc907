"""`threshold.json` of a run: the score above which an image is defective."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.sealed import NUMBER, Entries, Kept, read_sealed, refuse_unsealed
from rdvar_jax.runs.config import Config, default_config, flatten
from rdvar_jax.runs.ignore_file import read_ignore
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.manifest import SavedStep

RULE = "defective where score > threshold"
ENTRIES = Entries(
    {"threshold": NUMBER, "checkpoint_sha256": str, "step": int, "score": dict},
    old=frozenset(
        "rule method target_fpr quantile fpr_bound confidence split num_images num_above "
        "scores_sha256 checkpoint".split()
    ),
)
WAY_OUT = (
    "run rdvar threshold, which chooses and writes it again, or remove it and give --threshold to "
    "rdvar predict or rdvar export."
)


def read_threshold(
    config: Config, workdir: Workdir, checkpoint: str, saved: SavedStep
) -> dict[str, Any] | None:
    """Reads the threshold of a saved state; None if `rdvar threshold` was never run.

    Args:
        config: the run's, with the current settings of `score`.
        workdir: the run's folder.
        checkpoint: "latest" or "best".
        saved: the state that scores the images.

    Raises:
        CheckpointError: the file is damaged, or belongs to another state or other score settings.
    """
    path = workdir.threshold(checkpoint)
    kept = read_threshold_file(path)
    if kept is None:
        return None
    value = kept.value
    made_with = value["checkpoint_sha256"], value["score"], value["step"]
    if made_with[0] != saved.sha256:
        raise CheckpointError(
            f"{path} belongs to the state of step {made_with[2]}, not to this one of step "
            f"{saved.step}; run rdvar threshold again, or remove the file."
        )
    if not same_scores(made_with[1], score_settings(config)):
        raise CheckpointError(
            f"{path} was made with the settings {made_with[1]}, now {score_settings(config)}; "
            "run rdvar threshold with the new settings, or restore the old ones."
        )
    # A state whose manifest is sealed had its threshold chosen by a version that seals it.
    if saved.is_sealed and not kept.is_sealed:
        refuse_unsealed(path, WAY_OUT)
    return value


def read_threshold_file(path: Path) -> Kept | None:
    """Reads a threshold of any state; None if there is none.

    Raises:
        CheckpointError: the file is damaged, or was edited.
    """
    try:
        return read_sealed(path, ENTRIES, WAY_OUT)
    except FileNotFoundError:
        return None


def same_scores(made_with: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tells whether two sets of `score_settings` give the same scores; `now` may hold others too.

    A setting that is missing is younger than the scores, which had the effect of its default.
    """
    defaults = score_settings(default_config())
    made_with, now = {**defaults, **made_with}, {**defaults, **now}
    return all(now.get(name) == value for name, value in made_with.items())


def score_settings(config: Config) -> dict[str, Any]:
    """Returns the settings that scores depend on and that may change from call to call.

    `score.ignore` is the sha256 of the picture's content, or empty.

    Raises:
        UserError: see `read_ignore`.
    """
    settings = {
        name: value
        for name, value in flatten(config).items()
        if name.startswith("score.") and name not in ("score.batch_size", "score.min_area")
    }
    ignore = read_ignore(config.score.ignore)
    return {**settings, "score.ignore": "" if ignore is None else ignore.sha256}
