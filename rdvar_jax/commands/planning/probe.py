"""Timing of this machine: a convolution, and a train step."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from rdvar_jax.devices.compiler import compiled
from rdvar_jax.models.image_size import height_width
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.training.fit import Trainer, first_state

logger = logging.getLogger("rdvar_jax")

PROBE_STEPS = 5
PROBE_IMAGES = 8  # of the convolution


def probe_speed() -> float:
    """Returns the speed of a 3x3 convolution, in 10^6 operations per second."""
    size, channels = 32, 128
    images = np.ones((PROBE_IMAGES, size, size, channels), np.float32)
    kernel = np.ones((3, 3, channels, channels), np.float32)

    def convolve(images, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=numbers
        )

    platform = jax.local_devices()[0].platform
    convolve = compiled(convolve, platform=platform)
    seconds = _median_seconds(lambda: convolve(images, kernel), 10)
    return 2 * PROBE_IMAGES * size**2 * channels**2 * 9 / seconds / 1e6


def probe_step(config: Config) -> float:
    """Returns the seconds of a train step of these settings, compiled and timed.

    Raises:
        UserError: the settings or the photographs cannot be used.
    """
    with _without_remarks():
        return _probe_step(config)


def _probe_step(config: Config) -> float:
    recipe = Recipe.for_training(config, jax.local_devices())
    computation = recipe.computation(recipe.num_inputs)
    number = min(recipe.num_inputs, 2 * config.train.batch_size)
    height, width = height_width(config.data.image_size)
    images = np.random.default_rng(0).integers(0, 256, (number, height, width, 3), np.uint8)
    teacher = recipe.architecture.name
    model = recipe.method(teacher, weights="random", stem_width=recipe.stem_width)
    trainer = Trainer(
        model, images, config.train.batch_size, computation, loss=recipe.loss, tx=recipe.tx
    )
    state = first_state(model, recipe.tx, recipe.loss, recipe.parallel)
    rows = np.arange(config.train.batch_size, dtype=np.int32) % number

    def step() -> object:
        nonlocal state
        state, metrics = trainer.step(state, recipe.parallel.shard_batch(rows))
        return metrics

    return _median_seconds(step, PROBE_STEPS)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Drops the log of the probe, whose lines come again when training begins."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _median_seconds(call: Callable[[], Any], repeats: int) -> float:
    jax.block_until_ready(call())  # compiles
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
