"""A threshold and what it finds, in words."""

import pytest

from rdvar_jax.cli.outcome import describe_found, describe_targets, describe_threshold, percent

STORED = {
    "threshold": 0.5,
    "num_above": 5,
    "num_images": 100,
    "split": "folds",
    "target_fpr": 0.05,
    "mean_rate": 0.0495,
    "rate_low": 0.02,
    "rate_high": 0.0893,
    "fpr_bound": None,
    "confidence": None,
    "cost_missed": None,
}
AT = {"num_found": 3, "num_defective": 7, "num_false": 1, "num_good": 41, "target": 0.01}


def test_a_mean_rate_comes_with_its_spread():
    first, second = describe_threshold(STORED)
    assert first.startswith("threshold 0.5: 5 of 100 images (folds: each scored by a network")
    assert "on average 4.95 % of new good images" in second
    assert "2 % to 8.93 % in 9 of 10 cases" in second


def test_too_few_images_are_said():
    lines = describe_threshold({**STORED, "num_images": 9, "mean_rate": 0.1})
    assert lines[1] == "9 images cannot reach 5 %: the threshold is the highest score"
    assert "on average 10 %" in lines[2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fpr_bound": 0.0487, "confidence": 0.95}, "at most 0.0487, with confidence 0.95"),
        ({"mean_rate": None}, "no bound on the false-positive rate"),
        (
            {"cost_missed": 10, "num_missed": 2, "num_defective": 7},
            "5 of 7 defective images found, 2 missed; chosen with these labels",
        ),
    ],
)
def test_other_methods(changed, said):
    assert said in describe_threshold({**STORED, **changed})[1]


def test_what_is_found_needs_defects():
    assert describe_found(AT) == ["found 3 of 7 known defects; 1 of 41 good images falsely alarmed"]
    assert describe_found(None) == describe_found({**AT, "num_defective": 0}) == []
    assert describe_targets(None) == describe_targets([]) == []
    assert describe_targets([AT])[1].split() == "1 % 3 of 7 1 of 41".split()


def test_percentages_are_short():
    assert [percent(x) for x in (0.01, 0.0495, 0.1, 0.5)] == ["1 %", "4.95 %", "10 %", "50 %"]
