"""`rdvar train`: from a config and a folder of good images to checkpoints."""

import json
import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rdvar_jax.data.loading.arrays import Inputs, TestSet, image_bytes, load_train
from rdvar_jax.data.loading.tiles import count_inputs, cut_all
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.devices.processes import all_devices, barrier, check_agreement, is_main_process
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.build import feature_bytes
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.models.precision import compute_dtype
from rdvar_jax.models.student import Student
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.runs.checks.commands import check_training
from rdvar_jax.runs.checks.data import check_steps_of
from rdvar_jax.runs.config import Config, determining_settings, flatten, loss_settings
from rdvar_jax.runs.run import (
    abstract_state,
    build_geometry,
    build_networks,
    build_parallel,
    build_tx,
    copy_teacher,
    decode_geometry,
    find_data,
    load_test_set,
    memory_budget,
    open_checkpoints,
    read_teacher,
    refuse_other_run,
    refuse_to_train_imported,
    student_shapes,
    tiled,
)
from rdvar_jax.runs.workdir import Workdir, enter_workdir, open_workdir, save_config, write_skipped
from rdvar_jax.scoring.all_metrics import evaluate_maps
from rdvar_jax.scoring.scores import make_score_fn
from rdvar_jax.training.features import teacher_features
from rdvar_jax.training.feed import streamed_feed
from rdvar_jax.training.loop import Schedule, SeveralSteps, run_epochs
from rdvar_jax.training.placement import Placement, choose_placement
from rdvar_jax.training.step import (
    TrainState,
    init_state,
    make_several_steps,
    make_streamed_step,
    make_train_step,
)
from rdvar_jax.training.writer import MetricsWriter

logger = logging.getLogger("rdvar_jax")


def train(config: Config, workdir_path: Path) -> None:
    """Trains a run to its end, going on from where an earlier call left it.

    Where there are several processes all call it. The first one writes the run's folder, which all
    must see.

    Args:
        config: see `config.py`.
        workdir_path: the run's folder; made if missing.

    Raises:
        UserError: settings, data, weights or the folder cannot be used, or training diverged.
        Stopped: SIGINT or SIGTERM; the state is saved.
    """
    devices = all_devices()
    check_training(config, jax.local_device_count(), jax.process_count())
    _check_same_settings(config)
    refuse_to_train_imported(config, Workdir(workdir_path))
    category = find_data(config)
    geometry = build_geometry(config)
    placement = _place(config, count_inputs(category.train, geometry))
    if is_main_process():
        open_workdir(workdir_path, config)
    barrier("workdir")
    workdir = enter_workdir(workdir_path, config)
    parallel = build_parallel(config, devices)

    train_set = load_train(
        category,
        decode_geometry(config, category),
        memory_budget=math.inf if placement.in_memory else 0,
        progress=is_main_process(),
        allow_mixed_sizes=config.data.allow_mixed_sizes,
        on_error=config.data.on_error,
    )
    check_agreement("training images", train_set.fingerprint)
    if geometry.is_tiled:
        train_set = replace(train_set, images=cut_all(train_set.images, geometry))
    for problem in check_steps_of(config, len(train_set.images)):  # some may be left out
        raise ConfigError(problem)
    if len(train_set.images) < config.train.batch_size:
        logger.warning(
            "%d training images are fewer than train.batch_size=%d: batches repeat images",
            len(train_set.images),
            config.train.batch_size,
        )
    teacher, student = build_networks(config)
    if is_main_process():
        copy_teacher(config, workdir, teacher)
    barrier("teacher")
    teacher_variables, teacher_sha256 = read_teacher(config, workdir, teacher)
    identity = {
        "settings": determining_settings(config),
        "data": train_set.fingerprint,
        "teacher": teacher_sha256,
    }

    checkpoints = open_checkpoints(config, workdir)
    saved = checkpoints.find()
    if saved is not None:
        refuse_other_run(saved, identity, workdir)
    if is_main_process():
        checkpoints.set_aside_unfinished()
    barrier("unfinished checkpoints")
    restored = checkpoints.restore(abstract_state(config, student, parallel))
    tx = build_tx(config)
    if restored is None:
        variables = init_variables(
            student, student_shapes(config), seed=config.train.seed, train=False
        )
        state = parallel.replicate(init_state(variables, tx))
    else:
        state, saved = restored
        logger.info("going on from step %d (epoch %g)", saved.step, saved.epoch)
    # Not all file systems show all processes the same at once.
    check_agreement("teacher or checkpoint", f"{teacher_sha256} {saved and saved.sha256}")

    schedule = Schedule(
        num_images=len(train_set.images),
        batch_size=config.train.batch_size,
        epochs=config.train.epochs,
        seed=config.train.seed,
        log_every_steps=config.train.log_every_steps,
        checkpoint_every_epochs=config.train.checkpoint_every_epochs,
        evaluate_every_epochs=config.train.evaluate_every_epochs,
    )
    step = int(state.step)
    if step >= schedule.num_steps:
        logger.info("nothing to do: all %d steps are done", step)
        return
    # Only now: what may differ in a run that goes on (train.epochs, data.root) is to be remembered.
    if is_main_process():
        save_config(workdir, config)
        write_skipped(workdir.skipped_train, ((s.name, s.reason) for s in train_set.skipped))
    logger.info(
        "%s: %d %s of %s, %s teacher, %d steps, %s on %d device(s)",
        category.name,
        len(train_set.images),
        "tiles" if geometry.is_tiled else "images",
        geometry,
        config.teacher.arch,
        schedule.num_steps,
        config.parallel.mode,
        parallel.num_devices,
    )

    # The teacher and, where it fits, the data stay on the devices; a step then gets only indices.
    teacher_variables = parallel.replicate(fold_batch_norm(teacher_variables))
    precision = config.compute.precision
    step_teacher, resident = teacher, (teacher_variables,)
    if placement.in_memory:
        resident = (teacher_variables, parallel.replicate(train_set.images))
    if placement.features_kept:
        batch_size = config.train.batch_size
        features = teacher_features(
            teacher, teacher_variables, resident[-1], batch_size, parallel, precision
        )
        step_teacher, resident = None, ({}, features)
    make_step = make_train_step if placement.in_memory else make_streamed_step
    train_step = make_step(step_teacher, student, loss_settings(config), tx, precision)
    split = (False, *(False for _ in resident), True)
    step_fn = parallel.wrap(train_step, split=split, split_output=False, donate_argnums=(0,))
    several, count = None, config.train.steps_per_call
    if count > 1 and placement.in_memory:
        several_fn = parallel.wrap(
            make_several_steps(train_step), split=split, split_output=False, donate_argnums=(0,)
        )
        several = SeveralSteps(count, lambda state, batch: several_fn(state, *resident, batch))
    elif count > 1:
        logger.info("one step a call, because the training images stay on disk")
    evaluate_fn = None
    if config.train.evaluate_every_epochs > 0 and not is_main_process():
        evaluate_fn = _leave_to_the_first
    elif config.train.evaluate_every_epochs > 0:
        test_set = load_test_set(config)
        evaluate_fn = _make_evaluate_fn(
            config, parallel, teacher, student, teacher_variables, test_set
        )
    tensorboard = workdir.tensorboard if config.logging.tensorboard else None
    barrier("first step")
    with (
        MetricsWriter(workdir.metrics if is_main_process() else None, step, tensorboard) as writer,
        _open_feed(config, train_set.images, schedule, step, parallel) as feed,
    ):
        run_epochs(
            state,
            lambda state, batch: step_fn(state, *resident, batch),
            schedule,
            parallel=parallel,
            writer=writer,
            checkpoints=checkpoints,
            identity=identity,
            evaluate_fn=evaluate_fn,
            feed=feed,
            several=several,
        )


def _check_same_settings(config: Config) -> None:
    """Raises a ConfigError where the processes were not given the same settings."""
    own = ("data.root", "teacher.weights")  # paths; what lies there is compared later
    settings = {
        name: value
        for name, value in flatten(config).items()
        if name not in own and not name.startswith("distributed.")
    }
    check_agreement("settings", json.dumps(settings, sort_keys=True))


def _leave_to_the_first(_: TrainState) -> dict[str, float]:
    return {}


def _open_feed(
    config: Config, images: Inputs, schedule: Schedule, step: int, parallel: Parallel
) -> AbstractContextManager[Callable[[int], jax.Array] | None]:
    """The batches of images that stay on disk; None where they are in memory."""
    if isinstance(images, np.ndarray):
        return nullcontext()
    return streamed_feed(
        images,
        schedule,
        step,
        parallel,
        memory_budget=memory_budget(config),
        num_workers=config.data.num_workers,
    )


def _place(config: Config, num_images: int) -> Placement:
    teacher, size = config.teacher, config.data.image_size
    dtype = compute_dtype(config.compute.precision)
    return choose_placement(
        image_bytes(num_images, build_geometry(config)),
        num_images * feature_bytes(teacher.arch, teacher.stem_width, size, dtype),
        memory_budget_gb=config.data.memory_budget_gb,
        cache_features=config.train.cache_features,
        cache_budget_gb=config.train.cache_budget_gb,
    )


def _make_evaluate_fn(
    config: Config,
    parallel: Parallel,
    teacher: Teacher,
    student: Student,
    teacher_variables: dict[str, Any],
    test_set: TestSet,
):
    """Makes the function of a state that scores the test set, on this process's own devices."""
    score_fn = make_score_fn(
        teacher,
        student,
        config.data.image_size,
        config.score.batch_size,
        parallel.local(),
        config.score.sigma,
        config.compute.precision,
    )

    teacher_variables = parallel.to_local(teacher_variables)
    geometry = build_geometry(config)

    def evaluate_fn(state: TrainState) -> dict[str, float]:
        student_variables = {"params": state.params, "batch_stats": state.batch_stats}
        variables = parallel.to_local(student_variables)
        score = tiled(partial(score_fn, teacher_variables, variables), geometry)
        maps, scores = score(test_set.images)
        metrics = evaluate_maps(maps, scores, test_set.masks, test_set.labels, test_set.inside)
        return {name: value for name, value in metrics.items() if value is not None}

    return evaluate_fn
