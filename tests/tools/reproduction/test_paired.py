"""Statistics against brute force."""

import itertools
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from reproduction.findings import registered_verdict, verdict
from reproduction.paired import (
    Difference,
    count_categories,
    mean_and_deviation,
    paired_difference,
)
from scipy.stats import ttest_1samp, ttest_ind


def runs(*categories) -> dict:
    return {f"c{index}": dict(enumerate(values)) for index, values in enumerate(categories)}


def test_mean_and_deviation_are_of_the_means_over_categories():
    values = np.array([[90.0, 92.0, 97.0], [80.0, 81.0, 79.0]])
    mean, deviation, number = mean_and_deviation(runs(*values))
    assert mean == pytest.approx(values.mean())
    assert deviation == pytest.approx(values.mean(axis=0).std(ddof=1))
    assert number == 3


def test_only_seeds_that_all_categories_have_count():
    mean, deviation, number = mean_and_deviation({"a": {0: 1.0, 1: 5.0}, "b": {1: 7.0, 2: 9.0}})
    assert (mean, deviation, number) == (6.0, None, 1)
    assert mean_and_deviation({"a": {0: 1.0}, "b": {1: 7.0}})[2] == 0


def test_differences_are_paired_by_seed():
    # The seeds differ by 10, the variants by 1: unpaired, the difference would drown.
    first = runs([10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    second = runs([11.1, 20.9, 31.0, 41.1, 50.9, 61.0])
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(1.0)
    assert 0.9 <= difference.low < 1.0 < difference.high <= 1.1
    assert (difference.wins, difference.ties, difference.losses) == (6, 0, 0)
    assert difference.exceeds_noise


def test_pairs_need_both_runs():
    first = {"a": {0: 1.0, 1: 2.0}, "b": {0: 1.0}}
    assert paired_difference(first, {"a": {1: 3.0, 2: 9.0}, "c": {0: 1.0}}).num_pairs == 1
    assert paired_difference(first, {"b": {5: 3.0}}) is None


def test_the_bootstrap_interval_is_that_of_all_resamples():
    samples = [np.array([0.3, -0.1, 0.8, 0.2]), np.array([1.0, 0.0, 0.5, -0.7])]
    zero = runs(*np.zeros((2, 4)))
    difference = paired_difference(zero, runs(*samples))
    # Every way to draw four of four seeds, in each of the two categories.
    draws = np.array(list(itertools.product(range(4), repeat=4)))
    means = [sample[draws].mean(axis=1) for sample in samples]
    every = np.add.outer(*means).ravel() / 2
    low, high = np.quantile(every, [0.025, 0.975])
    assert difference.mean == pytest.approx(np.mean(samples))
    assert difference.low == pytest.approx(low, abs=0.03)
    assert difference.high == pytest.approx(high, abs=0.03)


def test_the_t_interval_of_one_category_is_scipys():
    found = paired_difference(runs([0.0, 0.0, 0.0, 0.0]), runs([1.0, 2.0, 4.0, -1.0]))
    expected = ttest_1samp([1.0, 2.0, 4.0, -1.0], 0).confidence_interval(0.95)
    np.testing.assert_allclose((found.t_low, found.t_high), expected)


def test_the_t_interval_over_categories_is_welchs():
    # Welch's interval of a difference of means is that of half of it for the mean of two.
    first, second = [1.0, 2.0, 4.0, -1.0, 0.5], [3.0, 3.5, 2.0]
    zeros = runs([0.0] * 5, [0.0] * 3)
    found = paired_difference(zeros, runs(first, second))
    other = ttest_ind(first, [-x for x in second], equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose((2 * found.t_low, 2 * found.t_high), other)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.4, 0.9, "L_var helps, by more than"),
        (0.1, 0.9, "L_var helps; whether"),
        (-0.9, -0.4, "L_var harms, by more than"),
        (-0.9, -0.1, "L_var harms; whether"),
        (-0.2, 0.2, "changes nothing of interest"),
        (-0.2, 0.4, "undecided"),
        (-0.4, 0.2, "undecided"),
    ],
)
def test_the_registered_conclusion(low, high, said):
    difference = Difference((low + high) / 2, low, high, 3, 0, 3, 1.0, 0.03, low, high)
    assert said in registered_verdict(difference)
    assert "none, since each set" in registered_verdict(replace(difference, t_low=None))


def test_the_interval_does_not_change_from_call_to_call():
    first, second = runs([1.0, 2.0, 3.0]), runs([1.5, 1.9, 3.6])
    assert paired_difference(first, second) == paired_difference(first, second)


@pytest.mark.parametrize("signs", [[1, 1, 1], [1, 1, -1, 1, 1, 1, 1, -1], [0, 1, 1, 0, -1], [0]])
def test_the_sign_test_is_the_binomial_one(signs):
    difference = paired_difference(runs(np.zeros(len(signs))), runs(np.array(signs, float)))
    wins, losses = signs.count(1), signs.count(-1)
    number = wins + losses
    tail = sum(comb(number, k) for k in range(max(wins, losses), number + 1)) / 2**number
    assert difference.p == pytest.approx(min(1.0, 2 * tail))
    assert difference.ties == signs.count(0)


@pytest.mark.parametrize(("number", "shown"), [(3, False), (5, False), (6, True)])
def test_few_pairs_never_exceed_noise(number, shown):
    first = runs(np.zeros(number))
    second = runs(np.linspace(1.0, 2.0, number))
    difference = paired_difference(first, second)
    assert difference.excludes_zero and difference.smallest_p == difference.p == 2 / 2**number
    assert difference.exceeds_noise == shown
    sentence = verdict("Image AUROC", "RD", "RD + L_var", difference, first)
    if shown:
        assert sentence.endswith("the gain exceeds seed noise.")
    else:
        assert f"of {number} pairs the sign test gives p = {2 / 2**number:.2g}" in sentence


def test_a_difference_with_both_signs_is_noise():
    first = runs(np.zeros(8))
    difference = paired_difference(first, runs(np.array([1.0, -1, 1, -1, 1, -1, 1, 0.5])))
    sentence = verdict("Image AUROC", "RD", "RD + L_var", difference, first)
    assert sentence.endswith("this does not exceed seed noise.")


def test_a_loss_is_called_a_loss():
    first = runs(np.ones(7))
    difference = paired_difference(first, runs(np.zeros(7)))
    sentence = verdict("Image AUROC", "RD", "RD + L_var", difference, first)
    assert "by -1.00 percentage points" in sentence
    assert sentence.endswith("the loss exceeds seed noise.")


def test_one_seed_has_no_interval():
    difference = paired_difference(runs([1.0]), runs([2.0]))
    assert difference.low is None and not difference.exceeds_noise
    sentence = verdict("Image AUROC", "RD", "RD + L_var", difference, runs([1.0]))
    assert "one seed: none" in sentence and "not known from one" in sentence


def test_strict_counts_of_the_paper():
    from reproduction import paper

    for column, expected in ((0, (10, 4, 1)), (1, (9, 3, 3))):
        first, second = (
            [pair[variant][column] for pair in paper.TABLE1.values()] for variant in (0, 1)
        )
        assert count_categories(first, second) == expected


def test_counts_in_full_and_as_printed():
    assert count_categories([99.01, 99.5], [99.04, 99.4]) == (1, 0, 1)
    assert count_categories([99.01, 99.5], [99.04, 99.4], 1) == (0, 1, 1)
