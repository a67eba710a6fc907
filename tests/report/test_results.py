"""Tables that other programs read."""

import csv

import numpy as np
import pytest

from rdvar_jax.report.results import ScoresFile


def test_rows_come_back_bit_for_bit(tmp_path):
    path = tmp_path / "scores.csv"
    names = ["a.png", 'with "quotes", and comma.png', "line\nbreak.png", "ü/漢字.png", "raw\udcff"]
    scores = np.array([0.1, 1 / 3, 1e-9, 123456.79, -0.5], np.float32)
    with ScoresFile(path) as file:
        file.add(names[:2], scores[:2])
        assert not path.exists()  # not before all rows are there
        file.add(names[2:], scores[2:])
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "score"]
    assert [row[0] for row in rows] == names
    assert np.array_equal(np.array([row[1] for row in rows], np.float32), scores)
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_there_is_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), ScoresFile(tmp_path / "scores.csv") as file:
        file.add(["a.png"], np.ones(1, np.float32))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
