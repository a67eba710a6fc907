"""Each setting reaches what it is for: values that all differ, looked for in their places."""

from pathlib import Path

import jax
import numpy as np
import pytest

from rdvar_jax.data.sets.records import Category
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.errors import DataError
from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.training.loop import Schedule
from rdvar_jax.training.losses import RDVarLoss


@pytest.fixture
def config():
    return default_config()


def recipe_of(config) -> Recipe:
    return Recipe(config, Parallel("pmap", tuple(jax.local_devices()[:1])))


def test_the_schedule(config):
    settings = {
        "epochs": 7,
        "batch_size": 4,
        "seed": 5,
        "log_every_steps": 3,
        "checkpoint_every_epochs": 2,
        "evaluate_every_epochs": 6,
    }
    config.train.update(settings)
    assert recipe_of(config).schedule(20) == Schedule(num_images=20, **settings)


def test_the_loss(config):
    settings = {
        "lambda_var": 0.3,
        "stages": ("d3", "d2"),
        "distance": "l1",
        "reduction": "sum",
        "stop_gradient_mean": True,
        "distillation": "pixel",
    }
    config.loss.update(settings)
    assert recipe_of(config).loss == RDVarLoss(**settings)


def test_the_optimiser(config):
    config.train.update(learning_rate=0.02, beta1=0.7, beta2=0.95)
    tx = recipe_of(config).tx
    gradient = jax.device_put(np.array([2.0, -3.0], np.float32))
    with jax.numpy_dtype_promotion("standard"):
        updates, (moments, *_) = tx.update(gradient, tx.init(gradient))
    np.testing.assert_allclose(updates, [-0.02, 0.02], rtol=1e-4)  # Adam's first step
    np.testing.assert_allclose(moments.mu, 0.3 * gradient, rtol=1e-4)
    np.testing.assert_allclose(moments.nu, 0.05 * gradient**2, rtol=1e-4)


def test_photographs_without_images_to_test_with_say_how_to_get_some(config):
    config.data.good = ("photos",)
    empty = Category("photos", Path("photos"), (), ())
    recipe = Recipe(config, Parallel("pmap", tuple(jax.local_devices()[:1])), empty)
    with pytest.raises(DataError, match="--bad DEFECTS, or train with train.folds=3"):
        recipe.load_test()
