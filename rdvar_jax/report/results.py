"""Results as files that other programs read."""

import csv
import io
from collections.abc import Sequence

import numpy as np

from rdvar_jax.report.prediction_files import exact


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
        writer.writerow([name, int(label) if label >= 0 else "", defect, exact(score)])
    return text.getvalue()
