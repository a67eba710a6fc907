"""scores.csv of an evaluation: whatever names images have, and every score exactly."""

import csv
import io

import numpy as np

from rdvar_jax.report.results import scores_csv


def test_names_scores_and_missing_labels_come_back():
    names = ['test/a, "b"/1.png', "test/two\nlines.png", "test/c.png"]
    scores = np.array([1 / 3, 1e-9, 16777216], np.float32)
    text = scores_csv(names, np.array([0, 1, -1]), ["good", 'a, "b"', ""], scores)
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == ["path", "label", "defect", "score"]
    assert [row[0] for row in rows] == names
    assert [row[1] for row in rows] == ["0", "1", ""]
    assert [row[2] for row in rows] == ["good", 'a, "b"', ""]
    assert np.array_equal(np.array([row[3] for row in rows], np.float32), scores)
