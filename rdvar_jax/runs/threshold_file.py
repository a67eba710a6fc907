"""`threshold.json` of a run: the score above which an image is called defective."""

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
    """Reads what `rdvar threshold` wrote for a saved state; None where it was never called.

    Args:
        config: the run's own, with the settings of `score` that images are scored with now.
        workdir: the run's folder.
        checkpoint: "latest" or "best".
        saved: the state that images are scored with.

    Raises:
        CheckpointError: the file is damaged, or is of another state or other score settings.
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
            f"{path} was made with the state of step {made_with[2]}, and this is another one, of "
            f"step {saved.step}; run rdvar threshold again, or remove the file."
        )
    if made_with[1] != score_settings(config):
        raise CheckpointError(
            f"{path} was made with the settings {made_with[1]}, now {score_settings(config)}; "
            "run rdvar threshold with these settings, or leave them as they were."
        )
    return value


def score_settings(config: Config) -> dict[str, Any]:
    """Settings that scores depend on and that may differ from call to call."""
    return {
        name: value
        for name, value in flatten(config).items()
        if name.startswith("score.") and name != "score.batch_size"
    }
