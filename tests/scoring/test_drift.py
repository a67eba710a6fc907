"""Scores that changed since the threshold was chosen, and scores that did not."""

import numpy as np
import pytest

from rdvar_jax.scoring.drift import LEVEL, MAX_KEPT, MIN_SCORES, find_drift, kept_scores


def scores(seed, count, shift=0.0):
    return np.random.default_rng(seed).lognormal(shift, 0.3, count)


def test_a_shift_is_found_and_its_direction_said():
    higher = find_drift(scores(0, 100), scores(1, 100, shift=0.4))
    assert higher.has_changed and higher.median_now > higher.median_then
    assert "more good parts than promised" in str(higher)
    lower = find_drift(scores(0, 100), scores(1, 100, shift=-0.4))
    assert lower.has_changed and "defects may be missed" in str(lower)
    assert "promise no longer holds" in str(higher) and "promise no longer holds" in str(lower)


def test_without_a_change_few_are_reported():
    found = [find_drift(scores(2 * seed, 100), scores(2 * seed + 1, 100)) for seed in range(1000)]
    assert sum(bool(one.has_changed) for one in found) <= 4  # one is expected
    # The distances of two finite samples are few, so the test is a little too careful.
    assert 0.04 < np.mean([one.p_value < 0.1 for one in found]) < 0.12
    assert "no sign of a change" in str(found[0])


def test_a_few_defects_are_no_change():
    now = scores(1, 200)
    now[:10] = 50.0
    assert find_drift(scores(0, 200), now).has_changed is False


def test_too_few_scores_say_nothing():
    few = find_drift(scores(0, MIN_SCORES - 1), scores(1, 500, shift=3))
    assert few.p_value is None and few.has_changed is None and "too few" in str(few)
    assert find_drift(scores(0, MIN_SCORES), scores(1, MIN_SCORES, shift=3)).p_value < LEVEL


@pytest.mark.parametrize("then, now", [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_nothing_and_nan_are_refused(then, now):
    with pytest.raises(ValueError, match="finite"):
        find_drift(then, now)


def test_kept_scores_have_the_distribution_of_all():
    values = scores(3, 20_000).astype(np.float32)
    kept = kept_scores(values)
    assert len(kept) == MAX_KEPT and kept == sorted(kept)
    assert (kept[0], kept[-1]) == (values.min(), values.max())
    assert find_drift(values, kept).distance < 2 / MAX_KEPT
    assert kept_scores([0.5, 0.25]) == [0.25, 0.5]
