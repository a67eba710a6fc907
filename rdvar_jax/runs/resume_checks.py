"""Whether a saved state can be trained further, and by these settings."""

from typing import Any

from rdvar_jax.errors import CheckpointError
from rdvar_jax.runs.workdir import Workdir, refuse_other_settings
from rdvar_jax.training.manifest import SavedStep


def refuse_if_not_resumable(saved: SavedStep | None, workdir: Workdir) -> None:
    """Raises a CheckpointError if the saved state cannot be trained further."""
    if saved is None:
        return
    if "imported" in saved.provenance:
        source = saved.provenance["imported"]["source"]
        what = f"was imported from {source} and cannot be trained further, because that file"
        why = "has neither Adam's moments nor the epoch"
    elif "own_loss" in saved.provenance:
        what = f"was trained with the loss {saved.provenance['own_loss']} and cannot be trained"
        why = "further here, because no setting names that loss"
    else:
        return
    raise CheckpointError(
        f"{workdir.folder} holds a run that {what} {why}; give another --workdir to train "
        "from the start."
    )


def refuse_another(saved: SavedStep, provenance: dict[str, Any], workdir: Workdir) -> None:
    """Raises a CheckpointError if a state has other settings, data or weights."""
    where = f"the checkpoint of step {saved.step} in {workdir.folder}"
    refuse_other_settings(saved.provenance["settings"], provenance["settings"], where)
    if saved.provenance["teacher"] != provenance["teacher"]:
        raise CheckpointError(
            f"{where} was trained with a different teacher than {workdir.teacher}; restore "
            "that file, or give another --workdir."
        )
    if "data" in provenance and saved.provenance.get("data") != provenance["data"]:
        raise CheckpointError(
            f"{where} was trained on different images than those now in data.root; restore "
            "the training images, or give another --workdir."
        )
