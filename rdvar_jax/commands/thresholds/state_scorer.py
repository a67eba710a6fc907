"""Scoring of images with a state that is still in training."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.saved_run import tiled
from rdvar_jax.scoring.pooling import pack_pixels
from rdvar_jax.scoring.scores import make_score_fn
from rdvar_jax.training.fit import student_of
from rdvar_jax.training.step import TrainState

StateScorer = Callable[[TrainState, Any], tuple[np.ndarray, np.ndarray]]


def make_state_scorer(recipe: Recipe, model: ReverseDistillation) -> StateScorer:
    """Makes (state, images) -> (maps [N, H, W], scores [N]), on this process's own devices."""
    config, local = recipe.config, recipe.parallel.local()
    score_fn = make_score_fn(
        model.teacher,
        model.student,
        config.data.image_size,
        config.score.batch_size,
        local,
        config.score.sigma,
        config.compute.precision,
        config.score.pooling,
        None if recipe.geometry.is_tiled else pack_pixels(recipe.ignored),
    )
    teacher_variables = local.replicate(dict(model.teacher_variables))

    def score(state: TrainState, images: Any) -> tuple[np.ndarray, np.ndarray]:
        variables = recipe.parallel.to_local(student_of(state))
        of_state = partial(score_fn, teacher_variables, variables)
        return tiled(of_state, recipe.geometry, config.score.pooling, recipe.ignore)(images)

    return score
