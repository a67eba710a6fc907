"""Outliers among good scores, by hand and on a score that is known to be a defect."""

import numpy as np
import pytest

from rdvar_jax.scoring.outliers import LIMIT, find_outliers

# Log scores -4 ... 4 and again -4 ... 4: median 0, median absolute deviation 2.
BY_HAND = np.exp(np.tile(np.arange(-4.0, 5.0), 2))


def test_the_limit_is_in_robust_standard_deviations():
    limit = LIMIT * 1.4826 * 2
    for above, found in ((limit - 0.01, []), (limit + 0.01, [18])):
        # A nineteenth score moves neither the median nor the deviation's.
        scores = np.append(BY_HAND, np.exp(above))
        assert np.median(np.log(scores)) == 0
        assert np.median(np.abs(np.log(scores))) == 2
        assert find_outliers(scores) == found


def test_the_unit_of_scores_does_not_matter_and_low_scores_are_usual():
    scores = np.append(BY_HAND, [np.exp(30.0), np.exp(-30.0), np.exp(40.0)])
    assert find_outliers(scores) == find_outliers(1000 * scores) == [20, 18]


def test_several_outliers_do_not_hide_each_other():
    rng = np.random.default_rng(0)
    scores = np.exp(rng.normal(0, 0.05, 30))
    scores[[3, 7, 11, 20]] = 1.5, 1.7, 1.6, 2.0
    assert find_outliers(scores) == [20, 7, 11, 3]


@pytest.mark.parametrize("number", [10, 60, 300])
def test_few_good_sets_are_named(number):
    rng = np.random.default_rng(number)
    named = [bool(find_outliers(np.exp(rng.normal(0, 0.2, number)))) for _ in range(200)]
    assert np.mean(named) < 0.15


@pytest.mark.parametrize(
    "scores", [[1.0], [0.5] * 20, [0.5] * 20 + [9.0], [1.0, 2.0, 50.0], [0.0] * 12]
)
def test_nothing_is_said_where_nothing_shows_what_is_usual(scores):
    assert find_outliers(np.array(scores, np.float32)) == []
