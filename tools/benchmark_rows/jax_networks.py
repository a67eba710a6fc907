"""This project's networks with random weights on some devices, for the rows that train or score."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import numpy as np
from serve import Settings

from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.scoring.scores import make_prepare_fn, make_score_fn
from rdvar_jax.training.features import teacher_features
from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.training.step import (
    TrainState,
    build_optimiser,
    init_state,
    make_several_steps,
    make_train_step,
)


class Networks:
    """Teacher and student as `rdvar train` holds them, and a batch of random images."""

    def __init__(self, settings: Settings, parallel: Parallel, batch: int):
        self.parallel, self.batch, self.size = parallel, batch, settings.image_size
        self.precision = settings.precision
        arch, width = settings.arch, settings.stem_width
        self.teacher = build_teacher(arch, width)
        self.student = build_student(arch, width, AXIS_NAME)
        self.teacher_variables = init_variables(self.teacher, image_shape(self.size), seed=0)
        shapes = feature_shapes(arch, width, self.size)
        self.variables = init_variables(self.student, shapes, seed=0, train=False)
        self.folded = parallel.replicate(fold_batch_norm(self.teacher_variables))
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (batch, self.size, self.size, 3), dtype=np.uint8)
        self._tx = build_optimiser(0.005, 0.5, 0.999)
        self._state: TrainState | None = None

    def score(self, images: np.ndarray | None = None) -> Callable[[], object]:
        """Scores the batch, or other images, batch by batch; the results arrive on the host."""
        network = (self.teacher, self.student, self.size, self.batch, self.parallel)
        score = make_score_fn(*network, precision=self.precision)
        prepare = make_prepare_fn(*network, precision=self.precision)
        prepared = prepare(self.folded, self.parallel.replicate(self.variables))
        chosen = self.images if images is None else images
        return lambda: score(*prepared, chosen)

    def train(
        self, losses: RDVarLoss, cached: bool = False, steps_a_call: int = 1, calls: int = 1
    ) -> Callable[[], None]:
        """Makes a function that trains one step on the batch and waits for it.

        With `steps_a_call` K it is K steps on that batch, in one call of the device, and with
        `calls` several such calls before it waits.

        All that come from one `Networks` train the same state, so they have room for only one.

        With `cached` the teacher's features are computed now, and the step takes them.
        """
        data: Any = self._data
        if cached:
            data = teacher_features(
                self.teacher, self.folded, data, self.batch, self.parallel, self.precision
            )
        train_step = make_train_step(
            None if cached else self.teacher, self.student, losses, self._tx, self.precision
        )
        indices = self._indices
        if steps_a_call > 1:
            train_step = make_several_steps(train_step)
            rows = np.arange(self.batch, dtype=np.int32)
            indices = self.parallel.shard_batch(np.stack([rows] * steps_a_call, axis=1))
        step = self.parallel.wrap(
            train_step,
            split=(False, False, False, True),
            split_output=False,
            donate_argnums=(0,),
        )
        frozen = {} if cached else self.folded
        if self._state is None:
            self._state = self.parallel.replicate(init_state(self.variables, self._tx))

        def train() -> None:
            done: Any = self._state
            for _ in range(calls):
                done = step(self._state, frozen, data, indices)  # the state is donated
                self._state = done[0]
            jax.block_until_ready(done)

        return train

    @cached_property
    def _data(self) -> jax.Array:
        return self.parallel.replicate(self.images)

    @cached_property
    def _indices(self) -> jax.Array:
        return self.parallel.shard_batch(np.arange(self.batch, dtype=np.int32))
