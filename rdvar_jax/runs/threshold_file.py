"""`threshold.json` of a run: the score above which an image is defective."""

import json
import math
from typing import Any

from rdvar_jax.errors import CheckpointError
from rdvar_jax.runs.config import Config, flatten
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.checkpoint import SavedStep

RULE = "defective where score > threshold"


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
    try:
        value = json.loads(path.read_text())
        threshold = float(value["threshold"])
        made_with = value["checkpoint_sha256"], value["score"], value["step"]
        if not math.isfinite(threshold):
            raise ValueError("not finite")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read; run rdvar threshold again, or remove the file."
        ) from error
    if made_with[0] != saved.sha256:
        raise CheckpointError(
            f"{path} belongs to the state of step {made_with[2]}, not to this one of step "
            f"{saved.step}; run rdvar threshold again, or remove the file."
        )
    if made_with[1] != score_settings(config):
        raise CheckpointError(
            f"{path} was made with the settings {made_with[1]}, now {score_settings(config)}; "
            "run rdvar threshold with the new settings, or restore the old ones."
        )
    return value


def score_settings(config: Config) -> dict[str, Any]:
    """Returns the settings that scores depend on and that may change from call to call."""
    return {
        name: value
        for name, value in flatten(config).items()
        if name.startswith("score.") and name != "score.batch_size"
    }
