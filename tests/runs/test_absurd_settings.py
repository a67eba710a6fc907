"""Absurd numbers in numeric settings: each works, or is one sentence with the allowed range."""

import math

import jax
import pytest

from rdvar_jax.devices.processes import MOST_PROCESSES, _find_problems
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.checks import check_prediction
from rdvar_jax.runs.config import default_config, resolved
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.scoring.maps import map_matrices

NUMBERS = {
    int: (-(10**30), -1, 0, 2**31 - 1, 2**31, 2**63, 10**30),
    float: (*(math.nan, math.inf, -math.inf, -1e308, -1.0, 5e-324, 1e6, 1e30, 1e308),),
}


def settings() -> list[tuple[str, type]]:
    config = default_config()
    names = [(section, name) for section in config for name in config[section]]
    kinds = {f"{s}.{n}": config[s].get_type(n) for s, n in names}
    numeric = [(name, kind) for name, kind in kinds.items() if kind in NUMBERS]
    return [*numeric, ("data.image_size", int), ("score.pooling", float)]


@pytest.fixture
def config(toy_root):
    config = default_config()
    config.data.update(root=str(toy_root), category="tile")
    config.teacher.weights = "random"
    return config


def test_all_sections_are_tried():
    assert {name.split(".")[0] for name, _ in settings()} == {
        *("data", "teacher", "loss", "train", "score", "parallel", "distributed", "report")
    }
    assert len(settings()) > 20


@pytest.mark.parametrize(("name", "kind"), settings(), ids=[name for name, _ in settings()])
def test_each_number_works_or_is_refused_with_the_range(config, name, kind):
    section, _, key = name.partition(".")
    refused = []
    for number in NUMBERS[kind]:
        config[section][key] = number
        if section == "distributed":
            problems = _find_problems(**config.distributed)
            if problems:
                refused.append(number)
                assert any(f"distributed.{key}={number}" in line for line in problems)
                assert all(" must be " in line for line in problems)
            continue
        try:
            used(Recipe.for_training(resolved(config), jax.local_devices()[:1]))
        except ConfigError as error:
            refused.append(number)
            (sentence,) = str(error).splitlines()
            assert name in sentence and ("must be" in sentence or "use" in sentence), sentence
            if section == "score":
                with pytest.raises(ConfigError, match=f"{name}="):
                    check_prediction(config, 1)
    assert len(refused) >= 2, f"{name} takes {set(NUMBERS[kind]) - set(refused)}"


def used(recipe: Recipe) -> None:
    """Makes from the settings what can be made without computing."""
    recipe.shared_settings()
    _ = recipe.tx, recipe.loss, recipe.geometry, recipe.architecture
    assert 0 <= recipe.memory_budget < math.inf
    computation = recipe.computation(10)
    assert 1 <= computation.steps_per_call < 2**31
    assert 0 < recipe.schedule(10).num_steps < 2**31
    assert all(math.isfinite(x.sum()) for x in map_matrices(32, [8], recipe.config.score.sigma))


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((1 << 20, 32), r"data.image_size=\(1048576, 32\) must be at most 16384"),
        ((-32, 32), "must be two multiples of 32"),
    ],
)
def test_sizes_of_two_sides_too(config, sizes, sentence):
    config.data.image_size = sizes
    with pytest.raises(ConfigError, match=sentence):
        Recipe.for_training(config, jax.local_devices()[:1])


def test_more_steps_than_the_state_counts_are_refused(config):
    config.train.epochs = 2**31 - 1
    config.train.batch_size = 1
    config.parallel.num_devices = 1
    with pytest.raises(ConfigError, match=r"are 21474836470 steps, over the limit of 2147483647"):
        Recipe.for_training(config, jax.local_devices()[:1])


def test_the_number_of_processes_has_a_limit():
    problems = _find_problems("host:1", 10**30, 0, False, 60, 300)
    assert problems == [
        f"distributed.num_processes={10**30} must be at least 1 and at most {MOST_PROCESSES}."
    ]
