"""Folds of the training images: who is in which, and who is trained on whom."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from rdvar_jax.runs.fold_scores import join_folds
from rdvar_jax.training.folds import FoldScores, score_fold, seen_median, split_folds
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


def test_a_student_is_trained_without_its_fold_for_as_many_epochs():
    seen: dict[str, Any] = {}

    def fit(state, schedule, **_):
        seen.update(state=state, schedule=schedule)
        return "trained", []

    def score(state, rows):
        assert state == "trained"
        rows = np.asarray(list(rows))
        return np.zeros((len(rows), 2, 2), np.float32), (rows + 1).astype(np.float32)

    trainer: Any = SimpleNamespace(fit=fit)
    schedule = Schedule(23, 4, 40, 0, 10, 10, 0)
    first: Any = "first"
    found = score_fold(trainer, first, score, schedule, (2, 5, 22), "fold 1")
    others = tuple(row for row in range(23) if row not in (2, 5, 22))
    assert (seen["state"], seen["schedule"].rows) == ("first", others)
    assert (seen["schedule"].num_images, seen["schedule"].epochs) == (20, 40)
    assert found.rows == (2, 5, 22) and found.scores.tolist() == [3, 6, 23]
    assert found.seen_median == np.median(np.array(others) + 1)


def test_scores_return_to_their_order_on_the_scale_of_the_final_student():
    maps = np.full((2, 1, 1), 3, np.float32)
    folds = [
        FoldScores((0, 3), maps, np.array([1, 2], np.float32), 0.5),
        FoldScores((1, 2), maps, np.array([10, 20], np.float32), 9.0),
    ]
    scores, peaks, shifts = join_folds(folds, final_median=1.0)
    assert shifts == [0.5, -8.0] and scores.tolist() == [1.5, 2.0, 12.0, 2.5]
    assert peaks.tolist() == [3.5, -5.0, -5.0, 3.5]


def test_a_hundred_images_are_enough_for_the_median():
    asked = []

    def score(state, rows):
        asked.append(rows)
        return None, np.array(rows, np.float32)

    state: Any = None
    assert seen_median(state, score, range(1000)) == 495
    assert len(asked[0]) == 100
