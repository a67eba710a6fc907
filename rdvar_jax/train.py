"""`rdvar train`: from a config and a folder of good images to checkpoints."""

import json
import logging
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from rdvar_jax.checks.commands import check_training
from rdvar_jax.checks.data import check_steps_of
from rdvar_jax.config import Config, determining_settings, flatten, loss_settings
from rdvar_jax.data.dataset import TestSet, load_train
from rdvar_jax.data.tiles import count_inputs, cut_all
from rdvar_jax.distributed import check_agreement, is_first, wait_for_all
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.build import feature_bytes
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.models.precision import compute_dtype
from rdvar_jax.models.student import Student
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.parallel import Parallel
from rdvar_jax.run import (
    abstract_state,
    build_geometry,
    build_networks,
    build_parallel,
    build_tx,
    copy_teacher,
    decode_geometry,
    find_data,
    load_test_set,
    open_checkpoints,
    read_teacher,
    refuse_other_run,
    refuse_to_train_imported,
    student_shapes,
    tiled,
)
from rdvar_jax.scoring.evaluate import evaluate_maps
from rdvar_jax.scoring.score import make_score_fn
from rdvar_jax.training.features import teacher_features
from rdvar_jax.training.loop import Schedule, run_epochs
from rdvar_jax.training.step import TrainState, init_state, make_train_step
from rdvar_jax.training.writer import MetricsWriter
from rdvar_jax.workdir import Workdir, enter_workdir, open_workdir, save_config, write_skipped

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
    devices = _all_devices()
    check_training(config, jax.local_device_count(), jax.process_count())
    _check_same_settings(config)
    refuse_to_train_imported(config, Workdir(workdir_path))
    category = find_data(config)
    geometry = build_geometry(config)
    cached = _choose_cache(config, count_inputs(category.train, geometry))
    if is_first():
        open_workdir(workdir_path, config)
    wait_for_all("workdir")
    workdir = enter_workdir(workdir_path, config)
    parallel = build_parallel(config, devices)

    train_set = load_train(
        category,
        decode_geometry(config, category),
        progress=is_first(),
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
    if is_first():
        copy_teacher(config, workdir, teacher)
    wait_for_all("teacher")
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
    if is_first():
        checkpoints.set_aside_unfinished()
    wait_for_all("unfinished checkpoints")
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
    if is_first():
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

    # The teacher and the data stay on the devices; a step gets only indices from the host.
    teacher_variables = parallel.replicate(fold_batch_norm(teacher_variables))
    data = parallel.replicate(train_set.images)
    precision = config.compute.precision
    step_teacher, step_variables = teacher, teacher_variables
    if cached:
        batch_size = config.train.batch_size
        data = teacher_features(teacher, teacher_variables, data, batch_size, parallel, precision)
        step_teacher, step_variables = None, {}
    step_fn = parallel.wrap(
        make_train_step(step_teacher, student, loss_settings(config), tx, precision),
        split=(False, False, False, True),
        split_output=False,
        donate_argnums=(0,),
    )
    evaluate_fn = None
    if config.train.evaluate_every_epochs > 0 and not is_first():
        evaluate_fn = _leave_to_the_first
    elif config.train.evaluate_every_epochs > 0:
        test_set = load_test_set(config)
        evaluate_fn = _make_evaluate_fn(
            config, parallel, teacher, student, teacher_variables, test_set
        )
    tensorboard = workdir.tensorboard if config.logging.tensorboard else None
    wait_for_all("first step")
    with MetricsWriter(workdir.metrics if is_first() else None, step, tensorboard) as writer:
        run_epochs(
            state,
            lambda state, indices: step_fn(state, step_variables, data, indices),
            schedule,
            parallel=parallel,
            writer=writer,
            checkpoints=checkpoints,
            identity=identity,
            evaluate_fn=evaluate_fn,
        )


def _all_devices() -> list[Any]:
    """The devices of all processes, those of each together and in the order of the processes.

    Raises:
        ConfigError: some processes have more devices than others.
    """
    if jax.process_count() == 1:
        return jax.local_devices()
    numbers = Counter(device.process_index for device in jax.devices())
    if len(set(numbers.values())) > 1:
        each = ", ".join(f"process {index}: {numbers[index]}" for index in sorted(numbers))
        raise ConfigError(
            f"All processes need the same number of devices ({each}); choose those that each of "
            "them sees (CUDA_VISIBLE_DEVICES)."
        )
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


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


def _choose_cache(config: Config, num_images: int) -> bool:
    """Whether the teacher's features of the training set are kept on each device."""
    choice, budget = config.train.cache_features, config.train.cache_budget_gb
    dtype = compute_dtype(config.compute.precision)
    teacher, size = config.teacher, config.data.image_size
    needed = num_images * feature_bytes(teacher.arch, teacher.stem_width, size, dtype) / 1e9
    if choice == "on" and needed > budget:
        raise ConfigError(
            f"train.cache_features=on needs {needed:.3g} GB on each device for {num_images} "
            f"images, over train.cache_budget_gb={budget:g}; raise that, or use auto."
        )
    cached = choice == "on" or (choice == "auto" and needed <= budget)
    logger.info(
        "teacher features %s (train.cache_features=%s; they take %.3g GB a device, budget %g GB)",
        "computed once and kept" if cached else "computed in every step",
        choice,
        needed,
        budget,
    )
    return cached


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
