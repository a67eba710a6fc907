"""Counts and sentences about found, missed and falsely alarmed images."""

import numpy as np
import pytest

from rdvar_jax.report.page.verdicts import count_verdicts, headlines, verdict_rows, what_lacks


def rows_of(**scores: list[float]) -> list[dict]:
    labels = {"good": 0, "unlabelled": None}
    return [
        {"label": labels.get(kind, 1), "defect": kind, "score": score}
        for kind, values in scores.items()
        for score in values
    ]


ROWS = rows_of(good=[0.1, 0.6], cut=[0.5, 0.9], blob=[0.8])


def test_a_score_equal_to_the_threshold_is_not_above_it():
    counts = count_verdicts(ROWS, 0.5)
    assert (counts.num_found, counts.num_missed, counts.num_defective) == (2, 1, 3)
    assert (counts.num_false, counts.num_good) == (1, 2)
    # 0.1 as float32 is over 0.1 as float64: both have to be float32.
    assert count_verdicts(rows_of(good=[float(np.float32(0.1))]), 0.1).num_false == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, ["2 of 3 defects found, 1 missed", "1 of 2 good images falsely alarmed"]),
        (rows_of(cut=[0.9]), ["1 of 1 defect found, none missed"]),
        (rows_of(good=[0.1]), ["0 of 1 good image falsely alarmed"]),
        (rows_of(unlabelled=[0.1, 0.9]), ["1 of 2 images called defective"]),
        (
            rows_of(good=[0.1], unlabelled=[0.9, 0.8]),
            ["0 of 1 good image falsely alarmed", "2 of 2 unlabelled images called defective"],
        ),
    ],
)
def test_the_headline_names_the_classes_that_there_are(rows, said):
    assert headlines(count_verdicts(rows, 0.5)) == said


def test_a_row_for_each_kind_with_its_errors_marked():
    table = verdict_rows(ROWS, 0.5)
    assert [(row["kind"], row["count"], row["flagged"], row["passed"]) for row in table] == [
        ("blob", "1", "1 found", "0 missed"),
        ("cut", "2", "1 found", "1 missed"),
        ("good", "2", "1 false alarm", "1 passed"),
    ]
    assert [row["passed_is_error"] for row in table] == [False, True, False]
    assert [row["flagged_is_error"] for row in table] == [False, False, True]
    (row,) = verdict_rows(rows_of(unlabelled=[0.1, 0.9]), 0.5)
    assert (row["flagged"], row["passed"]) == ("1 flagged", "1 passed")
    assert not row["flagged_is_error"] and not row["passed_is_error"]
    # A defect in a folder named like the good ones of another layout is a defect.
    rows = [*ROWS, {"label": 1, "defect": "good", "score": 0.1}]
    assert [row["kind"] for row in verdict_rows(rows, 0.5)] == ["blob", "cut", "good", "good"]


def test_what_test_images_cannot_show():
    assert what_lacks([0, 1]) is None
    assert "no defective" in what_lacks([0, 0])
    assert "no good" in what_lacks([1])
    assert "Without labels" in what_lacks([0, 1, None])
