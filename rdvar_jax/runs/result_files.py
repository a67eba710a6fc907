"""Entries of `results.json` and `evaluation.json`, and what to do if they are damaged."""

from rdvar_jax.files.sealed import Entries, Kept, read_sealed
from rdvar_jax.runs.workdir import Workdir

RESULTS = Entries(
    {"metrics": dict, "thresholds": dict, "checkpoint_sha256": str, "step": int},
    old=frozenset(
        "category num_images num_good num_defective skipped undefined checkpoint chosen_by epoch "
        "seed lambda_var own_loss teacher imported color_scale versions device".split()
    ),
)
EVALUATION = Entries(
    {"scores_sha256": str, "settings": dict, "curves": dict, "gallery": list}, old=frozenset()
)


def evaluate_again(workdir: Workdir, checkpoint: str) -> str:
    """Returns the command that makes the files, as the end of a sentence."""
    choice = "" if checkpoint == "latest" else f" --checkpoint {checkpoint}"
    return f"run rdvar evaluate --workdir {workdir.folder}{choice} first."


def read_results(workdir: Workdir, checkpoint: str) -> Kept:
    """Reads `results.json`.

    Raises:
        FileNotFoundError: the run was not evaluated.
        CheckpointError: the file is damaged, or was edited.
    """
    way_out = evaluate_again(workdir, checkpoint)
    return read_sealed(workdir.results(checkpoint), RESULTS, way_out)


def read_evaluation(workdir: Workdir, checkpoint: str) -> Kept:
    """Reads `evaluation.json`; see `read_results`."""
    way_out = evaluate_again(workdir, checkpoint)
    return read_sealed(workdir.evaluation(checkpoint), EVALUATION, way_out)
