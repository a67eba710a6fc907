"""`good_scores.json` and `folds/` of a run: scores of its training images as of new ones, by folds.

Each fold is written when it is done, so that a killed training goes on with the next one.
"""

import hashlib
import io
import logging
from dataclasses import dataclass, replace
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
    """Scores of the N training images as if they were new; see `LikeNew`.

    Attributes:
        names: of the images, in the order of training.
        images_sha256: of their pixels; see `ImageHash`.
        scores: float32 [N], on the scale of the final student.
        peaks: float32 [N], the maxima of their maps, likewise.
        shifts: of each fold, what was added to its scores for that.
        factor: by which their excess over known images was multiplied; see `LikeNew`.
        score: the settings of `score` that the scores depend on.
        folds_sha256: of all that the folds follow from.
    """

    names: list[str]
    images_sha256: list[str]
    scores: np.ndarray
    peaks: np.ndarray
    shifts: list[float]
    factor: float
    score: dict[str, Any]
    folds_sha256: str

    @property
    def corrections(self) -> dict[str, Any]:
        """What was done to the folds' scores, for `threshold.json` and `results.json`."""
        return {"shifts": self.shifts, "factor": self.factor}


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
            found = FoldScores(
                tuple(file["rows"].tolist()),
                file["maps"].astype(np.float32),
                file["scores"],
                float(file["seen_median"]),
            )
            # Earlier versions had no second student.
            if "few_scores" in file and len(few := file["few_scores"]):
                found = replace(
                    found, few_scores=few, few_seen_median=float(file["few_seen_median"])
                )
            return found

    def write(self, index: int, fold: FoldScores) -> None:
        """Writes a fold, the maps in float16: they are for pictures alone.

        Behind numpy's file follows the sha256 of it.
        """
        content, few = io.BytesIO(), fold.few_scores
        np.savez(
            content,
            folds_sha256=self._sha256,
            rows=np.asarray(fold.rows, np.int64),
            maps=fold.maps.astype(np.float16),
            scores=fold.scores,
            seen_median=fold.seen_median,
            few_scores=np.empty(0, np.float32) if few is None else few,
            few_seen_median=fold.few_seen_median,
        )
        make_folder(self._folder)
        written = content.getvalue()
        write_bytes(self._path(index), written + hashlib.sha256(written).digest())

    def _path(self, index: int) -> Path:
        return self._folder / f"fold_{index + 1}.npz"


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
            # Then their excess over the final student's own scores was multiplied by this.
            "factor": found.factor,
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
        factor = float(value.get("factor", 1))  # an earlier version had none
    except (ValueError, TypeError) as error:
        raise DamagedFile(path, error, WAY_OUT) from error
    of_folds = shifts, factor, value["score"], value["folds_sha256"]
    return GoodScores(names, hashes, scores, peaks, *of_folds)


def read_fold_maps(workdir: Workdir, found: GoodScores) -> np.ndarray | None:
    """Reads the folds' maps [N, H, W], on the final student's scale; None if a file is gone.

    Pixels that are ignored hold the shift, and not 0. The factor is for scores alone.
    """
    files = FoldFiles(workdir, found.folds_sha256)
    folds = [files.read(index) for index in range(len(found.shifts))]
    whole = [one for one in folds if one is not None]
    if len(whole) < len(found.shifts):
        return None
    maps = np.empty((len(found.scores), *whole[0].maps.shape[1:]), np.float32)
    for one, shift in zip(whole, found.shifts, strict=True):
        maps[list(one.rows)] = one.maps + np.float32(shift)
    return maps
