"""Results as files that other programs read."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def scores_csv(
    names: Sequence[str], labels: np.ndarray, defects: Sequence[str], scores: np.ndarray
) -> str:
    """One row an image: path, label, defect, score.

    Args:
        names: paths inside the category's folder.
        labels: [N], 0 good and 1 defective; under 0, no label, the field stays empty.
        defects: folder names, "good" or the defect's.
        scores: [N] float32, raw, written with as many digits as give the same float32 back.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "defect", "score"])
    for name, label, defect, score in zip(names, labels, defects, scores, strict=True):
        writer.writerow([name, int(label) if label >= 0 else "", defect, _exact(score)])
    return text.getvalue()


class ScoresFile:
    """Rows of path and score, written as they come; the file appears when all are there.

    Use it as a context. Scores are written as in `scores_csv`; file names that are no UTF-8 keep
    their bytes. On an error nothing is left.
    """

    def __init__(self, path: Path):
        self._path = path
        self._partial = path.with_name(f".{path.name}.tmp")

    def __enter__(self) -> "ScoresFile":
        self._file = self._partial.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(["path", "score"])
        return self

    def add(self, names: Sequence[str], scores: np.ndarray) -> None:
        """Appends [N] float32 scores under their names."""
        for name, score in zip(names, scores, strict=True):
            self._writer.writerow([name, _exact(score)])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()
            if kind is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def _exact(score: float) -> str:
    """The fewest digits that give the same float32 back."""
    return str(np.float32(score))
