"""`rdvar report`: a run as one HTML page."""

import csv
import hashlib
import io
import logging
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.commands.evaluating.evaluation_set import finish_evaluation
from rdvar_jax.errors import CheckpointError, ConfigError
from rdvar_jax.files.locks import locked_file
from rdvar_jax.files.replacing import write_text
from rdvar_jax.files.sealed import DamagedFile, Kept, refuse_unsealed
from rdvar_jax.report.page.render import NextSteps, render_page
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.result_files import evaluate_again, read_evaluation, read_results
from rdvar_jax.runs.threshold_file import WAY_OUT, read_threshold_file, same_scores
from rdvar_jax.runs.untested import describe_untested
from rdvar_jax.runs.workdir import Workdir, load_config, locked_for_results
from rdvar_jax.scoring.metrics import auroc
from rdvar_jax.training.writer import read_lines

logger = logging.getLogger("rdvar_jax")


def write_report(workdir: Workdir, checkpoint: str = "latest", output: Path | None = None) -> Path:
    """Writes the page that shows the results of `rdvar evaluate`, or a run before that.

    Args:
        workdir: the run's folder.
        checkpoint: "latest" or "best", as evaluated.
        output: the file; by default `report.html` in the run's folder.

    Returns:
        The file.

    Raises:
        UserError: the run's files cannot be read, or the page cannot be written.
    """
    config = load_config(workdir)  # raises if the folder is not a run
    with locked_for_results(workdir, needed=output is None):
        finish_evaluation(workdir, checkpoint)
        next_steps = _next_steps(config, workdir, checkpoint)
        if _is_tested(workdir, checkpoint):
            page = _page_of_evaluation(workdir, checkpoint, next_steps)
        else:
            logger.warning(
                "%s was not evaluated, so the page has no test images; rdvar evaluate scores them",
                workdir.folder,
            )
            page = _page_without_evaluation(config, workdir, checkpoint, next_steps)
        return _write(page, output or workdir.report(checkpoint))


def _is_tested(workdir: Workdir, checkpoint: str) -> bool:
    files = (workdir.results, workdir.scores, workdir.evaluation)
    return any(file(checkpoint).exists() for file in files)


def _next_steps(config: Config, workdir: Workdir, checkpoint: str) -> NextSteps:
    choice = "" if checkpoint == "latest" else f" --checkpoint {checkpoint}"
    run = f"--workdir {shlex.quote(str(workdir.folder))}{choice}"
    data = config.data
    folder = Path(data.root, data.category)
    if not folder.is_dir() and Path(data.root).name == data.category:
        folder = Path(data.root)  # which itself holds the images
    in_folder = data.source == "folder" and data.root and data.layout not in ("btad", "visa")
    good = " ".join(map(shlex.quote, data.good))
    return NextSteps(
        with_defects=f"rdvar train {good} --bad DEFECTS {run}" if good else None,
        threshold=f"rdvar threshold {run} --input GOOD_PHOTOS",
        evaluate=f"rdvar evaluate {run}",
        report=f"rdvar report {run}",
        test_folder=str(folder / "test") if in_folder else None,
    )


def _page_of_evaluation(workdir: Workdir, checkpoint: str, next_steps: NextSteps) -> str:
    way_out = evaluate_again(workdir, checkpoint)
    try:
        results = read_results(workdir, checkpoint)
        evaluation = read_evaluation(workdir, checkpoint)
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename} is missing; {way_out}") from error
    try:
        rows = _read_rows(workdir.scores(checkpoint), evaluation.value["scores_sha256"])
        aurocs = _aurocs(rows)
        if not _belong_together(workdir, checkpoint, results, evaluation, rows):
            raise CheckpointError(
                f"{workdir.results(checkpoint)} and {workdir.evaluation(checkpoint)} are of "
                f"different evaluations; {way_out}"
            )
        threshold, is_stale = _read_threshold(
            workdir.threshold(checkpoint), results.value, evaluation.value, results.is_sealed
        )
        log = read_lines(workdir.metrics)
        return render_page(
            *(results.value, evaluation.value, rows, threshold, aurocs, log, next_steps),
            threshold_is_stale=is_stale,
        )
    except _NotOfEvaluation as error:
        raise CheckpointError(f"{error} is not of the last evaluation; {way_out}") from error
    # Of files of earlier versions only the first entries are checked.
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if results.is_sealed:
            raise
        raise DamagedFile(workdir.results(checkpoint), error, way_out) from error


def _page_without_evaluation(
    config: Config, workdir: Workdir, checkpoint: str, next_steps: NextSteps
) -> str:
    results, evaluation = describe_untested(config, workdir, checkpoint)
    path = workdir.threshold(checkpoint)
    threshold, is_stale = _read_threshold(path, results, evaluation, is_sealed=True)
    log = read_lines(workdir.metrics)
    return render_page(
        *(results, evaluation, [], threshold, {}, log, next_steps), threshold_is_stale=is_stale
    )


def _write(page: str, output: Path) -> Path:
    try:
        with locked_file(output, "wait until it ends, or give another --output"):
            write_text(output, page)
    except OSError as error:
        raise ConfigError(
            f"{output} cannot be written ({error.strerror}); give another --output."
        ) from error
    return output


class _NotOfEvaluation(Exception):
    """A file that another evaluation wrote, or that was changed since."""


def _read_rows(path: Path, sha256: str) -> list[dict[str, Any]]:
    """Reads `scores.csv`, which must be the file that the evaluation wrote."""
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _NotOfEvaluation(path)
    return [
        {
            **row,
            "score": float(np.float32(row["score"])),
            "label": int(row["label"]) if row["label"] else None,
        }
        for row in csv.DictReader(io.StringIO(content.decode(errors="replace"), newline=""))
    ]


def _belong_together(
    workdir: Workdir,
    checkpoint: str,
    results: Kept,
    evaluation: Kept,
    rows: Sequence[dict[str, Any]],
) -> bool:
    """Returns whether metrics and pictures are of one evaluation."""
    if results.is_sealed or evaluation.is_sealed:
        files = results.value.get("files", {})
        return all(
            path.name in files and hashlib.sha256(path.read_bytes()).hexdigest() == files[path.name]
            for path in (workdir.scores(checkpoint), workdir.evaluation(checkpoint))
        )
    # Earlier versions wrote no hashes, so a metric is computed again.
    stored = results.value["metrics"]["image_auroc"]
    labelled = [row for row in rows if row["label"] is not None]
    again = auroc(
        np.array([row["score"] for row in labelled], np.float32),
        np.array([row["label"] for row in labelled], int),
    )
    if stored is None or again is None:
        return stored is again
    return math.isclose(stored, again, rel_tol=1e-9)


def _read_threshold(
    path: Path, results: Mapping[str, Any], evaluation: Mapping[str, Any], is_sealed: bool
) -> tuple[dict[str, Any] | None, bool]:
    """Reads `threshold.json` if it belongs to the evaluated state and settings.

    Args:
        path: the file.
        results: from `results.json`.
        evaluation: from `evaluation.json`.
        is_sealed: whether this version wrote them.

    Returns:
        The threshold or None, and whether there is one of another state or of other settings.

    Raises:
        CheckpointError: it is damaged, or was edited.
    """
    kept = read_threshold_file(path)
    if kept is None:
        return None, False
    value = kept.value
    same_state = value["checkpoint_sha256"] == results["checkpoint_sha256"]
    if not (same_state and same_scores(value["score"], evaluation["settings"])):
        return None, True
    stored = results["thresholds"]["stored"]
    if is_sealed and not kept.is_sealed and stored is not None:
        # A run of an earlier version, evaluated by this one, which saw the same threshold.
        if stored["threshold"] != value["threshold"]:
            refuse_unsealed(path, WAY_OUT)
    return value, False


def _aurocs(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Returns the image AUROC of each kind of defect against all good images."""
    kinds = {row["defect"] for row in rows if row["label"] == 1}
    return {
        kind: auroc(
            np.array([row["score"] for row in chosen], np.float32),
            np.array([row["label"] for row in chosen]),
        )
        for kind in kinds
        if (
            chosen := [
                r for r in rows if r["label"] == 0 or (r["label"] == 1 and r["defect"] == kind)
            ]
        )
    }
