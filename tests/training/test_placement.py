"""Placement of the training set: budgets, and contradictory settings."""

import pytest

from rdvar_jax.errors import ConfigError
from rdvar_jax.training.placement import Placement, choose_placement

IMAGES, FEATURES = 2_000_000_000, 8_000_000_000


def choose(memory=2.0, cache="auto", cache_budget=8.0) -> Placement:
    return choose_placement(
        IMAGES,
        FEATURES,
        memory_budget_gb=memory,
        cache_features=cache,
        cache_budget_gb=cache_budget,
    )


@pytest.mark.parametrize(
    ("settings", "in_memory", "features_kept"),
    [
        ({}, True, True),
        ({"cache_budget": 7.9}, True, False),
        ({"cache": "off"}, True, False),
        ({"cache": "on"}, True, True),
        ({"memory": 1.9}, False, False),
        ({"memory": 1.9, "cache": "off"}, False, False),
    ],
)
def test_what_fits_is_kept(settings, in_memory, features_kept):
    assert choose(**settings) == Placement(in_memory, features_kept)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cache_budget": 7.9}, "needs 8 GB on each device, over train.cache_budget_gb=7.9"),
        ({"memory": 1.9}, "memory: 2 GB, over data.memory_budget_gb=1.9; raise the budget"),
    ],
)
def test_what_is_asked_for_must_fit(settings, message):
    with pytest.raises(ConfigError, match=message):
        choose(cache="on", **settings)


def test_the_choice_is_logged_with_the_sizes(caplog):
    with caplog.at_level("INFO", "rdvar_jax"):
        choose(memory=1.5)
    assert "stay on disk and are decoded in each epoch" in caplog.text
    assert "(2 GB decoded, data.memory_budget_gb=1.5)" in caplog.text
    assert "teacher features computed in every step" in caplog.text
