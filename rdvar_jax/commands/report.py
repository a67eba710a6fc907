"""`rdvar report`: an evaluated run as one HTML page."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.errors import CheckpointError, ConfigError
from rdvar_jax.files import write_text
from rdvar_jax.report.page.render import render_page
from rdvar_jax.runs.workdir import Workdir, load_config
from rdvar_jax.scoring.metrics import auroc
from rdvar_jax.training.writer import read_lines


def write_report(workdir: Workdir, checkpoint: str = "latest", output: Path | None = None) -> Path:
    """Writes the page that shows the results of `rdvar evaluate`.

    Args:
        workdir: the run's folder.
        checkpoint: "latest" or "best", as evaluated.
        output: the file; by default `report.html` in the run's folder.

    Returns:
        The file.

    Raises:
        UserError: the run was not evaluated, its files cannot be read, or the page cannot be
          written.
    """
    load_config(workdir)  # raises if the folder is not a run
    results = _read(workdir.results(checkpoint), workdir, checkpoint)
    evaluation = _read(workdir.evaluation(checkpoint), workdir, checkpoint)
    rows = _read_rows(workdir.scores(checkpoint), evaluation["scores_sha256"], workdir, checkpoint)
    threshold = _read_threshold(workdir.threshold(checkpoint), results, evaluation["settings"])
    page = render_page(
        results, evaluation, rows, threshold, _aurocs(rows), read_lines(workdir.metrics)
    )
    output = output or workdir.report(checkpoint)
    try:
        write_text(output, page)
    except OSError as error:
        raise ConfigError(
            f"{output} cannot be written ({error.strerror}); give another --output."
        ) from error
    return output


def _read(path: Path, workdir: Workdir, checkpoint: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise _not_evaluated(f"{path} is missing", workdir, checkpoint) from error
    except ValueError as error:
        raise _not_evaluated(f"{path} is damaged", workdir, checkpoint) from error


def _not_evaluated(what: str, workdir: Workdir, checkpoint: str) -> CheckpointError:
    choice = "" if checkpoint == "latest" else f" --checkpoint {checkpoint}"
    return CheckpointError(f"{what}; run rdvar evaluate --workdir {workdir.folder}{choice} first.")


def _read_rows(path: Path, sha256: str, workdir: Workdir, checkpoint: str) -> list[dict[str, Any]]:
    """Reads `scores.csv`, which must be the file that the evaluation wrote."""
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _not_evaluated(f"{path} is not of the last evaluation", workdir, checkpoint)
    return [
        {
            **row,
            "score": float(np.float32(row["score"])),
            "label": int(row["label"]) if row["label"] else None,
        }
        for row in csv.DictReader(io.StringIO(content.decode(), newline=""))
    ]


def _read_threshold(
    path: Path, results: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any] | None:
    """Reads `threshold.json` if it belongs to the evaluated state and settings."""
    try:
        value = json.loads(path.read_text())
        same_state = value["checkpoint_sha256"] == results["checkpoint_sha256"]
        same_scores = all(settings[name] == set_to for name, set_to in value["score"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if same_state and same_scores else None


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
