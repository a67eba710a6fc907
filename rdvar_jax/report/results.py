"""Scores of an evaluation as CSV."""

from collections.abc import Sequence

import numpy as np

from rdvar_jax.files.replacing import csv_line
from rdvar_jax.report.prediction_files import exact


def scores_csv(
    names: Sequence[str], labels: np.ndarray, defects: Sequence[str], scores: np.ndarray
) -> str:
    """Returns the text of a CSV file with a row per image: path, label, defect, score.

    Args:
        names: paths inside the category's folder.
        labels: [N], 0 good and 1 defective; negative if unlabelled: the field is empty.
        defects: folder names, "good" or the defect's.
        scores: [N] float32, raw, written with the fewest digits that parse to the same float32.
    """
    rows = [
        [name, int(label) if label >= 0 else "", defect, exact(score)]
        for name, label, defect, score in zip(names, labels, defects, scores, strict=True)
    ]
    return "".join(map(csv_line, [["path", "label", "defect", "score"], *rows]))
