"""`good_scores.json` and `folds/` of a run: scores and maps of its training images, by folds.

Each fold is written when it is done, so that a killed training goes on with the next one.
"""

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.files.replacing import make_folder, write_bytes
from rdvar_jax.files.sealed import (
    DamagedFile,
    Entries,
    content_hash,
    read_sealed,
    write_sealed,
)
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.folds import FoldScores
from rdvar_jax.training.manifest import SavedStep

logger = logging.getLogger("rdvar_jax")

ENTRIES = Entries(
    {
        "folds_sha256": str,
        "checkpoint_sha256": str,
        "step": int,
        "score": dict,
        "shifts": list,
        "names": list,
        "images_sha256": list,
        "scores": list,
        "peaks": list,
    },
    old=frozenset(),
)
DIGEST_BYTES = 32
WAY_OUT = "remove it and run the same rdvar train command again, which writes it anew."


@dataclass(frozen=True, eq=False)
class GoodScores:
    """Scores of the N training images, each by a student that was not trained on it.

    Attributes:
        names: of the images, in the order of training.
        images_sha256: of their pixels; see `ImageHash`.
        scores: float32 [N], on the scale of the final student.
        peaks: float32 [N], the maxima of their maps, likewise.
        shifts: of each fold, what was added to its scores for that.
        score: the settings of `score` that the scores depend on.
        folds_sha256: of all that the folds follow from.
    """

    names: list[str]
    images_sha256: list[str]
    scores: np.ndarray
    peaks: np.ndarray
    shifts: list[float]
    score: dict[str, Any]
    folds_sha256: str


class FoldFiles:
    """The folds of one training that are done, in files."""

    def __init__(self, workdir: Workdir, sha256: str):
        """Opens the folder; `sha256` is that of all that the folds follow from."""
        self._folder, self._sha256 = workdir.folds, sha256

    @classmethod
    def of(cls, workdir: Workdir, follows_from: dict[str, Any]) -> "FoldFiles":
        """Opens the folder for folds that follow from these settings, images and weights."""
        return cls(workdir, content_hash(follows_from))

    @property
    def sha256(self) -> str:
        return self._sha256

    def read(self, index: int) -> FoldScores | None:
        """Reads a fold; None if it is missing, damaged, or follows from something else."""
        path = self._path(index)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s cannot be read (%s), and does not count", path, error.strerror)
            return None
        if hashlib.sha256(content[:-DIGEST_BYTES]).digest() != content[-DIGEST_BYTES:]:
            logger.warning(
                "%s is damaged (its sha256 does not fit its content), and does not count", path
            )
            return None
        with np.load(io.BytesIO(content[:-DIGEST_BYTES]), allow_pickle=False) as file:
            if str(file["folds_sha256"]) != self._sha256:
                return None
            return FoldScores(
                tuple(file["rows"].tolist()),
                file["maps"].astype(np.float32),
                file["scores"],
                float(file["seen_median"]),
            )

    def write(self, index: int, fold: FoldScores) -> None:
        """Writes a fold, the maps in float16: they are for pictures alone.

        Behind numpy's file follows the sha256 of it.
        """
        content = io.BytesIO()
        np.savez(
            content,
            folds_sha256=self._sha256,
            rows=np.asarray(fold.rows, np.int64),
            maps=fold.maps.astype(np.float16),
            scores=fold.scores,
            seen_median=fold.seen_median,
        )
        make_folder(self._folder)
        written = content.getvalue()
        write_bytes(self._path(index), written + hashlib.sha256(written).digest())

    def _path(self, index: int) -> Path:
        return self._folder / f"fold_{index + 1}.npz"


def join_folds(
    folds: Sequence[FoldScores], final_median: float
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Returns scores and peaks [N] in the order of training, and each fold's shift.

    Args:
        folds: all of them.
        final_median: `seen_median` of the final student.
    """
    shifts = [final_median - one.seen_median for one in folds]
    scores = _in_order(folds, [one.scores for one in folds], shifts)
    peaks = _in_order(folds, [one.maps.max(axis=(1, 2)) for one in folds], shifts)
    return scores, peaks, shifts


def _in_order(
    folds: Sequence[FoldScores], values: Sequence[np.ndarray], shifts: Sequence[float]
) -> np.ndarray:
    """Returns the folds' values [n, ...] as one array [N, ...], each with its shift added."""
    found = np.empty((sum(len(one.rows) for one in folds), *values[0].shape[1:]), np.float32)
    for one, of_fold, shift in zip(folds, values, shifts, strict=True):
        found[list(one.rows)] = of_fold + np.float32(shift)
    return found


def write_good_scores(workdir: Workdir, found: GoodScores, saved: SavedStep) -> None:
    """Writes `good_scores.json`, once all folds are done."""
    write_sealed(
        workdir.good_scores,
        {
            "checkpoint_sha256": saved.sha256,
            "step": saved.step,
            "score": found.score,
            # Added to the scores of each fold, to bring them to the scale of the final student.
            "shifts": found.shifts,
            "folds_sha256": found.folds_sha256,
            "names": found.names,
            "images_sha256": found.images_sha256,
            "scores": [float(score) for score in found.scores],
            "peaks": [float(peak) for peak in found.peaks],
        },
    )


def read_good_scores(workdir: Workdir, saved: SavedStep) -> GoodScores | None:
    """Reads the folds' scores; None if there are none, or they are of another state.

    Raises:
        CheckpointError: the file is damaged, or was edited.
    """
    path = workdir.good_scores
    try:
        value = read_sealed(path, ENTRIES, WAY_OUT).value
    except FileNotFoundError:
        return None
    if value["checkpoint_sha256"] != saved.sha256:
        return None
    try:
        scores, peaks = (np.asarray(value[name], np.float32) for name in ("scores", "peaks"))
        names, hashes = [[str(one) for one in value[name]] for name in ("names", "images_sha256")]
        if scores.ndim != 1 or not len(names) == len(hashes) == len(scores) == len(peaks) > 0:
            raise ValueError("its lists differ in length")
        shifts = [float(shift) for shift in value["shifts"]]
    except (ValueError, TypeError) as error:
        raise DamagedFile(path, error, WAY_OUT) from error
    return GoodScores(names, hashes, scores, peaks, shifts, value["score"], value["folds_sha256"])


def read_fold_maps(workdir: Workdir, found: GoodScores) -> np.ndarray | None:
    """Reads the maps [N, H, W] that belong to the scores; None if a fold's file is gone.

    Pixels that are ignored hold the shift, and not 0.
    """
    files = FoldFiles(workdir, found.folds_sha256)
    folds = [files.read(index) for index in range(len(found.shifts))]
    whole = [one for one in folds if one is not None]
    if len(whole) < len(found.shifts):
        return None
    return _in_order(whole, [one.maps for one in whole], found.shifts)
