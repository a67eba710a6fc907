"""Plain words about a threshold's origin, its promise and what test images add."""

import numpy as np
import pytest
from page_sample import MEAN
from scipy import stats

from rdvar_jax.report.page.threshold_words import (
    good_images_words,
    observed,
    origin,
    promise,
    share_range,
)
from rdvar_jax.report.page.verdicts import Verdicts

BOUND = {
    "method": "fpr",
    "split": "input",
    "num_images": 60,
    "num_above": 0,
    "fpr_bound": 0.042,
    "confidence": 0.95,
}
NONE = {"fpr_bound": None, "confidence": None}


def verdicts(num_false: int, num_good: int) -> Verdicts:
    return Verdicts(0, 0, num_false, num_good)


def test_a_bound_and_what_its_confidence_means():
    assert origin(BOUND) == (
        "It was chosen from the scores of 60 good images that were not trained on; 0 of them are "
        "above it."
    )
    (words,) = promise(BOUND)
    assert "At most 4.2 % of new good images" in words and "confidence 95 %" in words
    assert "of 100 thresholds chosen like this one" in words and "about 95 keep" in words


def test_few_alarms_and_a_bound_do_not_contradict_each_other():
    words = observed(BOUND, verdicts(3, 20))
    assert "4.2 % above are about all new good images" in words
    assert "3 of 20 on this page (15 %)" in words and "between 3.2 % and 38 %" in words
    assert "do not contradict" in words
    words = observed(BOUND, verdicts(10, 20))
    assert "more than promised" in words and "light, camera or part" in words
    assert observed(BOUND, verdicts(0, 0)) is None
    assert observed({**BOUND, **NONE}, verdicts(3, 20)) is None


def test_a_mean_rate_with_its_spread_and_its_folds():
    words = origin(MEAN)
    assert "64 training images, each scored by a network that was not trained on it" in words
    assert "in 3 folds; -0.07 to +0.01 was added" in words and "3 of them are" in words
    first, second = promise(MEAN)
    assert first == "On average 4.62 % of new good images are above it."
    assert "in 9 of 10 such choices the share is between 1.2 % and 10.3 %" in second
    # The spread counts, not the mean: 4 of 20 are possible where up to 10.3 % are.
    assert "do not contradict" in observed(MEAN, verdicts(4, 20))
    assert "more than promised" in observed(MEAN, verdicts(8, 20))
    folds = {"kind": "folds"}
    assert "images that it was chosen from" in observed(MEAN, verdicts(1, 20), folds)
    assert "between" in observed({**MEAN, "split": "input"}, verdicts(1, 20), folds)


@pytest.mark.parametrize("absent", ["folds", "rate_low", "rate_high", "num_above", "target_fpr"])
def test_a_mean_rate_without_an_optional_entry(absent):
    stored = {name: value for name, value in MEAN.items() if name != absent}
    assert "On average 4.62 %" in promise(stored)[0]
    assert origin(stored).startswith("It was chosen from the scores of 64 training images")
    assert observed(stored, verdicts(1, 20))


def test_a_threshold_chosen_with_labels_is_marked():
    stored = {**BOUND, **NONE, "method": "cost", "cost_missed": 10.0}
    words, rest = promise(stored)
    assert "chosen with labels" in words and "counting as 10 false alarms" in words
    assert "No share of false alarms is guaranteed" in rest
    del stored["cost_missed"]
    assert "chosen with labels" in promise(stored)[0]


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"split": "train"}, "scores them lower than new ones"),
        ({"split": "validation"}, "60 good images kept from training"),
        ({"split": "input", "num_images": 1}, "1 good image that was not trained on"),
        ({"split": "of tomorrow"}, "60 images (of tomorrow)"),
    ],
)
def test_where_the_good_images_come_from(stored, said):
    assert said in origin({**BOUND, **stored})


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"method": "quantile", "quantile": 0.99}, "99 % of these scores are not above it"),
        ({"method": "gpd"}, "extrapolated"),
        ({"method": "train"}, "No share of false alarms is guaranteed"),
        ({}, "No share of false alarms is guaranteed"),
    ],
)
def test_other_methods_promise_less(stored, said):
    assert said in " ".join(promise({**BOUND, **NONE, **stored}))


def test_the_range_of_a_share_is_that_of_scipy():
    for number, total in ((0, 1), (1, 1), (3, 20), (20, 20), (0, 300), (150, 300)):
        exact = stats.binomtest(number, total).proportion_ci(0.95, "exact")
        assert np.allclose(share_range(number, total), (exact.low, exact.high))


def test_training_photographs_as_good_test_images():
    folds = {"kind": "folds", "shifts": [-0.07, 0.02, 0.01]}
    words = good_images_words(folds)  # of an earlier version
    assert "training photographs" in words and "3 folds; -0.07 to +0.02 was added" in words
    assert "excess" not in words and words == good_images_words(folds | {"factor": 1.0})
    assert "multiplied by 0.67" in good_images_words(folds | {"factor": 2 / 3})
    assert "training photographs" in good_images_words({"kind": "folds"})
    assert good_images_words(None) is None
    assert good_images_words({"kind": "of tomorrow"}) is None
