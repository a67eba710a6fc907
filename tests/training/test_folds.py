"""Folds of the training images: who is in which, and who is trained on whom."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rdvar_jax.training.folds import (
    FoldScores,
    like_new,
    score_fold,
    seen_median,
    split_folds,
)
from rdvar_jax.training.loop import Schedule

NAMES = [f"good/{number:03}.png" for number in range(23)]


def test_each_image_is_in_one_fold_and_sizes_differ_by_one():
    folds = split_folds(NAMES, 5, seed=0)
    assert sorted(row for fold in folds for row in fold) == list(range(23))
    assert sorted(map(len, folds)) == [4, 4, 5, 5, 5]
    assert split_folds(NAMES, 5, seed=1) != folds
    assert len(split_folds(NAMES[:3], 5, seed=0)) == 3


def test_folds_follow_from_the_images_not_from_their_order():
    folds = split_folds(NAMES, 5, seed=0)
    turned = split_folds(NAMES[::-1], 5, seed=0)
    assert {frozenset(NAMES[row] for row in fold) for fold in folds} == {
        frozenset(NAMES[::-1][row] for row in fold) for fold in turned
    }


def test_equal_images_are_in_one_fold():
    keys = [*NAMES, *NAMES[:7]]
    folds = split_folds(keys, 5, seed=0)
    assert sorted(row for fold in folds for row in fold) == list(range(30))
    for copy in range(7):
        assert any(copy in fold and 23 + copy in fold for fold in folds)
    assert len(split_folds(["a"] * 9 + ["b"], 5, seed=0)) == 2


def test_students_are_trained_without_a_fold_and_on_fewer_for_as_many_epochs():
    trained: list[Schedule] = []

    def fit(state, schedule, **_):
        assert state == "first"
        trained.append(schedule)
        return len(trained), []

    def score(state, rows):
        rows = np.asarray(list(rows))
        maps = np.zeros((len(rows), 2, 2), np.float32)
        return maps, (100 * state + rows).astype(np.float32)

    trainer: Any = SimpleNamespace(fit=fit)
    schedule = Schedule(23, 4, 40, 0, 10, 10, 0)
    first: Any = lambda: "first"  # noqa: E731
    found = score_fold(trainer, first, score, schedule, (2, 5, 22), "fold 1", second=True)
    others = tuple(row for row in range(23) if row not in (2, 5, 22))
    # 3 of 23 are an eighth: the second student sees seven of eight of the 20 others.
    fewer = tuple(row for place, row in enumerate(others) if place % 8)
    assert [one.rows for one in trained] == [others, fewer] and len(fewer) == 17
    assert [(one.num_images, one.epochs) for one in trained] == [(20, 40), (17, 40)]
    assert found.rows == (2, 5, 22) and found.scores.tolist() == [102, 105, 122]
    assert found.seen_median == 100 + np.median(others)
    assert found.few_scores is not None and found.few_scores.tolist() == [202, 205, 222]
    assert found.few_seen_median == 200 + np.median(fewer)

    # Two images are not enough for a batch of four in one epoch.
    half = score_fold(
        trainer, first, score, Schedule(8, 4, 1, 0, 10, 10, 0), (0, 1, 2, 3), "1", second=True
    )
    assert half.few_scores is None and len(trained) == 3
    alone = score_fold(trainer, first, score, schedule, (2, 5, 22), "fold 2")
    assert alone.few_scores is None and len(trained) == 4


def folds_of(own, excess, few_excess, shift=0.0):
    """Three folds; new images exceed their own scores by these, and students differ by a shift."""
    median, folds = float(np.median(own)), []
    for first in range(3):
        rows = np.arange(first, len(own), 3)
        scores = own[rows] + excess[rows] - np.float32(shift)
        maps = np.stack([np.full((2, 2), one) for one in scores + 1])
        few = own[rows] + few_excess[rows] - np.float32(2 * shift)
        medians = median - shift, median - 2 * shift
        folds.append(FoldScores(tuple(rows), maps, scores, medians[0], few, medians[1]))
    return folds


@pytest.mark.parametrize("measured", [[0], [2], [0, 1, 2]])
def test_the_excess_falls_once_more_as_it_fell_with_more_images(measured):
    own = np.arange(9, dtype=np.float32)
    excess = np.linspace(1, 3, 9).astype(np.float32)
    folds = folds_of(own, excess, 1.25 * excess, shift=7.0)
    for place in {0, 1, 2} - set(measured):
        folds[place] = replace(folds[place], few_scores=None)
    found = like_new(folds, own, own + 1)
    assert found.shifts == [7, 7, 7] and found.factor == pytest.approx(0.8)
    np.testing.assert_allclose(found.scores, own + 0.8 * excess, rtol=1e-6)
    np.testing.assert_allclose(found.peaks, own + 0.8 * excess + 1, rtol=1e-6)


@pytest.mark.parametrize(
    "mean, few, factor",
    [
        (2.0, 100.0, 4 / 9),  # faster than anything that is known
        (2.0, 1.5, 1.0),  # more images do not help: the folds' scores stay
        (-1.0, 3.0, 1.0),  # no excess
        (0.0, 3.0, 1.0),
    ],
)
def test_no_more_is_taken_off_than_was_measured(mean, few, factor):
    own = np.arange(9, dtype=np.float32)
    excess, few_excess = np.full((2, 9), [[mean], [few]], np.float32)
    found = like_new(folds_of(own, excess, few_excess), own, own + 1)
    assert found.factor == pytest.approx(factor)
    np.testing.assert_allclose(found.scores, own + mean * factor, rtol=1e-6)


def test_scores_without_a_second_student_return_to_their_order_on_the_final_scale():
    maps = np.full((2, 1, 1), 3, np.float32)
    folds = [
        FoldScores((0, 3), maps, np.array([1, 2], np.float32), 0.5),
        FoldScores((1, 2), maps, np.array([10, 20], np.float32), 9.0),
    ]
    own = np.array([0, 1, 1, 2], np.float32)  # their median is 1
    found = like_new(folds, own, own)
    assert found.shifts == [0.5, -8.0] and found.scores.tolist() == [1.5, 2.0, 12.0, 2.5]
    assert found.peaks.tolist() == [3.5, -5.0, -5.0, 3.5] and found.factor == 1


def test_a_hundred_images_are_enough_for_the_median():
    asked = []

    def score(state, rows):
        asked.append(rows)
        return None, np.array(rows, np.float32)

    state: Any = None
    assert seen_median(state, score, range(1000)) == 495
    assert len(asked[0]) == 100
