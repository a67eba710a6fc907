"""Thresholds from scores of good images; their guarantees are checked by counting."""

import math

import numpy as np
import pytest
from scipy import stats

from rdvar_jax.errors import DataError
from rdvar_jax.scoring.metrics import f1_max
from rdvar_jax.scoring.thresholds import (
    best_f1_threshold,
    from_cost,
    from_mean_rate,
    from_quantile,
    from_tail_fit,
    from_target_fpr,
    images_for_mean,
    images_needed,
)


def test_the_bound_is_that_of_the_binomial_test_and_no_lower_score_keeps_it():
    scores = np.random.default_rng(0).permutation(300).astype(np.float32)
    found = from_target_fpr(scores, 0.05, 0.95)
    above = found.num_above
    assert found.value == 299 - above
    # P(at most `above` of 300 | rate 0.05) <= 0.05, and with one more above it is not.
    assert stats.binom.cdf(above, 300, 0.05) <= 0.05 < stats.binom.cdf(above + 1, 300, 0.05)
    exact = stats.binomtest(above, 300).proportion_ci(0.9, "exact").high
    assert found.fpr_bound == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("draw", ["gamma", "few values"])
def test_the_true_rate_is_under_the_target_as_often_as_promised(draw):
    rng = np.random.default_rng(1)
    kept, trials, n = 0, 4000, 200
    for _ in range(trials):
        if draw == "gamma":
            value = from_target_fpr(rng.gamma(2, size=n), 0.05, 0.9).value
            rate = stats.gamma.sf(value, 2)
        else:  # ties: the promise still holds
            value = from_target_fpr(rng.binomial(8, 0.3, n), 0.05, 0.9).value
            rate = stats.binom.sf(value, 8, 0.3)
        kept += rate <= 0.05
    # Over 0.9 within chance (three deviations); for continuous scores not much over.
    assert kept / trials > 0.9 - 3 * math.sqrt(0.09 / trials)
    if draw == "gamma":
        exact = stats.beta.cdf(0.05, found_rank(n) + 1, n - found_rank(n))
        assert kept / trials == pytest.approx(exact, abs=3 * math.sqrt(0.09 / trials))


def found_rank(n: int) -> int:
    return from_target_fpr(np.arange(n), 0.05, 0.9).num_above


@pytest.mark.parametrize(("target", "confidence", "n"), [(0.05, 0.95, 59), (0.01, 0.95, 299)])
def test_too_few_images_say_how_many_are_needed(target, confidence, n):
    assert images_needed(target, confidence) == n
    assert from_target_fpr(np.arange(n), target, confidence).value == n - 1
    with pytest.raises(DataError, match=rf"{n - 1} good images cannot guarantee .*use {n} images"):
        from_target_fpr(np.arange(n - 1), target, confidence)


def test_one_image_and_equal_scores():
    with pytest.raises(DataError, match="1 good image cannot guarantee"):
        from_target_fpr([0.5], 0.05, 0.95)
    assert from_quantile([0.5], 0.99, 0.95).value == 0.5
    assert from_quantile([0.5], 0.99, 0.95).fpr_bound == pytest.approx(0.95)
    equal = from_target_fpr(np.full(100, 0.25), 0.05, 0.95)
    assert (equal.value, equal.num_above) == (0.25, 0)
    with pytest.raises(DataError, match="All 200 scores are 0.25"):
        from_tail_fit(np.full(200, 0.25), 0.01)


def test_a_quantile_is_one_of_the_scores_in_float32():
    scores = np.random.default_rng(2).gamma(2, size=100).astype(np.float32)
    found = from_quantile(scores, 0.93, 0.95)
    assert found.num_above == 7 and np.float32(found.value) in scores
    assert from_quantile(scores, 1, 0.95).num_above == 0
    assert from_quantile(scores, 0.07, 0.95).num_above == 93  # 0.07 * 100 is over 7 in floats


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2])
def test_the_fitted_tail_is_that_of_the_scores(shape):
    drawn = stats.genpareto.rvs(shape, size=40_000, random_state=3)
    found = from_tail_fit(drawn, 1e-3)
    assert stats.genpareto.sf(found.value, shape) == pytest.approx(1e-3, rel=0.2)
    assert found.fpr_bound is None and float(np.float32(found.value)) == found.value


def test_a_tail_needs_scores_and_a_target_inside_of_it():
    with pytest.raises(DataError, match="Only 5 of .* have a score in the tail.*about 100 images"):
        from_tail_fit(np.arange(50), 0.01)
    with pytest.raises(ValueError, match="fraction of scores in the tail"):
        from_tail_fit(np.arange(500), 0.2)


@pytest.mark.parametrize("seed", range(5))
def test_the_oracle_has_the_highest_f1_of_all_thresholds(seed):
    rng = np.random.default_rng(seed)
    labels = rng.random(40) < 0.4
    scores = (rng.integers(0, 12, 40) + 3 * labels).astype(np.float32)
    value = best_f1_threshold(scores, labels)
    called = scores > value
    f1 = 2 * np.sum(called & labels) / (np.sum(called) + np.sum(labels))
    assert f1 == pytest.approx(f1_max(scores, labels))


def test_the_oracle_of_equal_scores_calls_all_defective_and_of_one_class_is_none():
    scores = np.full(4, 0.5, np.float32)
    value = best_f1_threshold(scores, [0, 1, 1, 1])
    assert value < 0.5 and (scores > np.float32(value)).all()
    assert best_f1_threshold(scores, [1, 1, 1, 1]) is None
    assert best_f1_threshold(scores, [0, 0, 0, 0]) is None


@pytest.mark.parametrize("scores", [[], [[1.0]], [1.0, np.nan], [np.inf]])
def test_scores_that_cannot_be_used(scores):
    with pytest.raises(DataError):
        from_quantile(scores, 0.9, 0.95)


@pytest.mark.parametrize("share", [0, 1, -0.1, math.nan])
def test_shares_out_of_range(share):
    with pytest.raises(ValueError):
        from_target_fpr([1.0], share, 0.95)
    with pytest.raises(ValueError):
        from_target_fpr([1.0], 0.05, share)


@pytest.mark.parametrize(("n", "k"), [(19, 19), (20, 20), (39, 38), (100, 96), (12, 12)])
def test_the_mean_rate_is_that_of_a_rank(n, k):
    scores = np.random.default_rng(0).permutation(n).astype(np.float32)
    found = from_mean_rate(scores, 0.05)
    assert (found.value, found.num_above) == (k - 1, n - k)
    assert found.mean_rate == pytest.approx((n + 1 - k) / (n + 1))
    assert found.fpr_bound is None
    low, high = stats.beta.ppf([0.05, 0.95], n + 1 - k, k)
    assert (found.rate_low, found.rate_high) == pytest.approx((low, high))
    assert (found.mean_rate <= 0.05) == (n >= images_for_mean(0.05) == 19)


@pytest.mark.parametrize("n", [8, 25, 100])
def test_new_scores_exceed_it_as_often_as_it_says(n):
    rng = np.random.default_rng(1)
    draws = [from_mean_rate(rng.gamma(2, size=n), 0.05) for _ in range(4000)]
    rates = np.array([stats.gamma.sf(found.value, 2) for found in draws])
    error = rates.std() / math.sqrt(len(rates))
    assert draws[0].mean_rate == pytest.approx(rates.mean(), abs=4 * error)
    inside = (rates >= draws[0].rate_low) & (rates <= draws[0].rate_high)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_no_threshold_costs_less(seed):
    rng = np.random.default_rng(seed)
    good = rng.integers(0, 12, 30).astype(np.float32)
    bad = rng.integers(4, 16, 12).astype(np.float32)
    cost_missed = float(rng.choice([0.2, 1, 10]))

    def cost(value):
        return np.sum(good > value) + cost_missed * np.sum(bad <= value)

    found = from_cost(good, bad, cost_missed)
    every = [-1, *np.unique([*good, *bad])]
    assert cost(np.float32(found.value)) == min(map(cost, every))
    assert found.num_above == np.sum(good > np.float32(found.value))
    # Of equally good ones, the one with the fewest alarms.
    assert not any(
        cost(v) == cost(found.value) and np.sum(good > v) < found.num_above for v in every
    )


def test_the_cheapest_threshold_is_halfway_to_the_next_score():
    assert from_cost([1, 2], [4, 5], 10).value == 3
    assert from_cost([1, 2], [2], 0.5).value == 2  # above all scores there is no next one
