"""Training of a student from plain arguments, without config or files.

`Trainer` joins the parts: data on the devices, the step and its wrapper, and the loop.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from rdvar_jax.data.loading.arrays import Inputs
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models.build import feature_shapes, student_shapes
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.image_size import SIZE_MULTIPLE
from rdvar_jax.models.initialise import abstract_output
from rdvar_jax.models.methods import METHODS
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.training.features import teacher_features
from rdvar_jax.training.feed import streamed_feed
from rdvar_jax.training.loop import EndsEarly, Save, Schedule, SeveralSteps, Write, run_epochs
from rdvar_jax.training.losses import Loss
from rdvar_jax.training.placement import Placement
from rdvar_jax.training.step import (
    Optimiser,
    TrainState,
    init_state,
    make_several_steps,
    make_streamed_step,
    make_train_step,
    metric_names,
)

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Computation:
    """Devices, placement and precision; they affect only rounding, time and memory.

    Attributes:
        parallel: the devices.
        placement: the data kept on them.
        precision: "float32", "tf32" or "bfloat16".
        steps_per_call: steps per device call, for sets in memory.
        memory_budget: bytes of images decoded in advance, for sets on disk.
        num_workers: decoding processes, for sets on disk; 0: threads.
    """

    parallel: Parallel
    placement: Placement
    precision: str = "tf32"
    steps_per_call: int = 1
    memory_budget: float = 4e9
    num_workers: int = 0


def first_state(
    model: ReverseDistillation, tx: Optimiser, loss: Loss, parallel: Parallel
) -> TrainState:
    """Returns the initial state of the model's student, replicated on every device.

    Raises:
        ConfigError: see `metric_names`.
    """
    shapes = feature_shapes(model.architecture, model.stem_width, SIZE_MULTIPLE)
    returned = shapes
    if type(model) not in METHODS.values():  # a student of the user's own may return more
        seen = student_shapes(model.student, SIZE_MULTIPLE)
        returned = abstract_output(model.student, seen, train=False)
    state = init_state(dict(model.student_variables), tx, metric_names(loss, shapes, returned))
    return parallel.replicate(state)


def student_of(state: TrainState) -> dict[str, Any]:
    """Returns the student's variables in a state."""
    return {"params": state.params, "batch_stats": state.batch_stats}


class Trainer:
    """Trains students of one model on the same images: their step is compiled once.

    The teacher and, where they fit, the images or their features stay on the devices.
    """

    def __init__(
        self,
        model: ReverseDistillation,
        images: Inputs,
        batch_size: int,
        computation: Computation,
        *,
        loss: Loss,
        tx: Optimiser,
    ):
        """Puts teacher and images on the devices.

        Args:
            model: provides the teacher; the students' values come from the states.
            images: good images, uint8 [N, H, W, 3], or the same on disk.
            batch_size: images per step, over all devices.
            computation: devices, placement and precision.
            loss: the training loss.
            tx: the optimiser.
        """
        self._images, self._computation = images, computation
        parallel, placement = computation.parallel, computation.placement
        step, self._resident = _make_step(model, images, batch_size, computation, loss, tx)
        split = (False, *(False for _ in self._resident), True)
        wrap = partial(parallel.wrap, split=split, split_output=False, donate_argnums=(0,))
        self._step_fn, count = wrap(step), computation.steps_per_call
        self._several: SeveralSteps | None = None
        if count > 1 and placement.in_memory:
            several_fn = wrap(make_several_steps(step))
            self._several = SeveralSteps(
                count, lambda state, batch: several_fn(state, *self._resident, batch)
            )
        elif count > 1:
            logger.info("one step per call, because the training images stay on disk")

    def fit(
        self,
        state: TrainState,
        schedule: Schedule,
        *,
        write: Write | None = None,
        save: Save | None = None,
        evaluate_fn: Callable[[TrainState], dict[str, float]] | None = None,
        ends_early: EndsEarly | None = None,
        progress: bool = True,
        description: str = "training",
    ) -> tuple[TrainState, list[dict[str, float]]]:
        """Trains a student from a state to the end of a schedule.

        Args:
            state: of `first_state`, or restored; donated.
            schedule: epochs, batch size and intervals; its `rows` need images in memory.
            write, save, evaluate_fn, ends_early: see `run_epochs`.
            progress, description: see `run_epochs`.

        Returns:
            The state after the last step, and the mean metrics of each epoch trained by this call:
            "step", "epoch", "loss", those of the loss, "grad_norm".

        Raises:
            Diverged, Stopped, CheckpointError: see `run_epochs`.
        """
        epochs: list[dict[str, float]] = []

        def record(kind: str, step: int, values: dict[str, Any]) -> None:
            if kind == "epoch":
                epochs.append({"step": step, **values})
            if write is not None:
                write(kind, step, values)

        with _open_feed(self._images, schedule, int(state.step), self._computation) as feed:
            state = run_epochs(
                state,
                self.step,
                schedule,
                parallel=self._computation.parallel,
                write=record,
                save=save,
                evaluate_fn=evaluate_fn,
                ends_early=ends_early,
                feed=feed,
                several=self._several,
                progress=progress,
                description=description,
            )
        return state, epochs

    def step(self, state: TrainState, batch: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
        """Trains one step; `state` is donated, `batch` as in `run_epochs`."""
        return self._step_fn(state, *self._resident, batch)


def _make_step(
    model: ReverseDistillation,
    images: Inputs,
    batch_size: int,
    computation: Computation,
    loss: Loss,
    tx: Optimiser,
) -> tuple[Callable, tuple[Any, ...]]:
    """Makes the step and its resident arguments: the teacher and, where it fits, the data.

    With resident data a step receives indices, else images.
    """
    parallel, precision = computation.parallel, computation.precision
    teacher_variables = parallel.replicate(fold_batch_norm(dict(model.teacher_variables)))
    if not computation.placement.in_memory:
        step = make_streamed_step(model.teacher, model.student, loss, tx, precision)
        return step, (teacher_variables,)
    data = parallel.replicate(images)
    if not computation.placement.features_kept:
        step = make_train_step(model.teacher, model.student, loss, tx, precision)
        return step, (teacher_variables, data)
    features = teacher_features(
        model.teacher, teacher_variables, data, batch_size, parallel, precision
    )
    kept = (data, features) if model.student.sees_images else features
    return make_train_step(None, model.student, loss, tx, precision), ({}, kept)


def _open_feed(
    images: Inputs, schedule: Schedule, step: int, computation: Computation
) -> AbstractContextManager[Callable[[int], jax.Array] | None]:
    """Opens the feed of images that stay on disk; yields None where they are in memory."""
    if isinstance(images, np.ndarray):
        return nullcontext()
    if schedule.rows is not None:
        raise ValueError("a part of the images cannot be trained on while they stay on disk")
    return streamed_feed(
        images,
        schedule,
        step,
        computation.parallel,
        memory_budget=computation.memory_budget,
        num_workers=computation.num_workers,
    )
