"""`rdvar train`: trains a run on a category's good images."""

import dataclasses
import logging
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path

import numpy as np

from rdvar_jax.commands.thresholds.folds import score_folds
from rdvar_jax.commands.thresholds.state_scorer import make_state_scorer
from rdvar_jax.data.loading.arrays import TestSet, TrainSet
from rdvar_jax.data.pixels.aspect import squash_remark
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.devices.processes import (
    all_devices,
    barrier,
    check_agreement,
    is_main_process,
)
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.fitted import Fitted
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.resume_checks import refuse_if_not_resumable
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.workdir import (
    Workdir,
    keep_photographs,
    locked_for_training,
    save_config,
    with_kept_full_scale,
    with_kept_ignore,
)
from rdvar_jax.scoring.all_metrics import evaluate_maps
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.training.fit import Trainer
from rdvar_jax.training.level_off import WINDOW, LevelOff
from rdvar_jax.training.loop import Schedule
from rdvar_jax.training.step import TrainState
from rdvar_jax.training.writer import MetricsWriter, read_lines
from rdvar_jax.weights.demonstration import warn_if_for_demonstrations

logger = logging.getLogger("rdvar_jax")


def train(config: Config, workdir: Path) -> Fitted:
    """Trains a run to its end, resuming an earlier call.

    With several processes, all call it. The main one writes the run's folder, which all must see.

    Args:
        config: see `runs/config.py`.
        workdir: the run's folder; created if missing.

    Returns:
        The trained model, with the losses of the epochs that were trained in this call.

    Raises:
        UserError: settings, data, weights or the folder cannot be used, or training diverged.
        Stopped: SIGINT or SIGTERM; the state is saved.
    """
    config = with_kept_full_scale(config, Workdir(workdir.resolve()))
    config = with_kept_ignore(config, Workdir(workdir.resolve()))
    recipe = Recipe.for_training(config, all_devices())
    check_agreement("settings", recipe.shared_settings())
    run = Run(recipe, Workdir(workdir.resolve()))
    refuse_if_not_resumable(run.checkpoints.find(), run.workdir)
    run.check_folder()
    with locked_for_training(run.workdir) if is_main_process() else nullcontext():
        return _train(recipe, run)


def _train(recipe: Recipe, run: Run) -> Fitted:
    config = recipe.config
    computation = recipe.computation(recipe.num_inputs)
    train_set = recipe.load_train(computation.placement.in_memory)
    check_agreement("training images", train_set.fingerprint)
    if config.train.folds and not isinstance(train_set.images, np.ndarray):
        raise ConfigError(
            f"train.folds={config.train.folds} needs the training images in memory, and they "
            f"exceed data.memory_budget_gb={config.data.memory_budget_gb:g}; raise it, or set "
            "train.folds=0 and data.validation=0.1."
        )
    schedule = recipe.schedule(len(train_set.images))
    if is_main_process():
        run.check_ignore(train_set.aspects)
    # The folder last: until everything is found, nothing binds the next call to these settings.
    found = run.find_teacher()
    run.make_folder()
    run.keep_teacher(found)
    model, teacher = run.read_model()
    provenance = run.provenance(teacher.sha256, train_set.fingerprint, train_set.aspects)
    state, saved = run.restore_or_start(model, provenance)
    # On some file systems not all processes see the same files at once.
    check_agreement("teacher or checkpoint", f"{teacher.sha256} {saved and saved.sha256}")
    run.keep_trained_images(train_set)
    run.keep_ignore()
    step = int(state.step)
    epochs: list[dict[str, float]] = []
    get_trainer = cache(
        partial(
            Trainer,
            model,
            train_set.images,
            schedule.batch_size,
            computation,
            loss=recipe.loss,
            tx=recipe.tx,
        )
    )
    if step >= schedule.num_steps:
        logger.info("nothing to do: all %d steps are done", step)
        if is_main_process():
            keep_photographs(run.workdir, config)
    else:
        run.begin(train_set)  # only now, as it stores settings that resuming may change
        _announce(recipe, schedule, train_set)
        evaluate_fn = _make_evaluate_fn(recipe, model)
        main, tensorboard = is_main_process(), config.logging.tensorboard
        if main:
            warn_if_for_demonstrations(teacher.source_sha256)
        barrier("first step")
        with MetricsWriter(
            run.workdir.metrics if main else None,
            step,
            run.workdir.tensorboard if tensorboard else None,
        ) as writer:
            state, epochs = get_trainer().fit(
                state,
                schedule,
                write=writer.write,
                save=partial(_save, run, writer, provenance),
                evaluate_fn=evaluate_fn,
                ends_early=LevelOff(config.train.level_off, _earlier_losses(run, step)),
            )
        if int(state.step) < schedule.num_steps:
            recipe, schedule = _end_early(run, recipe, schedule, int(epochs[-1]["epoch"]))
            run = Run(recipe, run.workdir)
    if config.train.folds and is_main_process():
        saved = run.checkpoints.find()
        assert saved is not None  # the state was saved, or restored
        score_folds(run, model, train_set, schedule, get_trainer, teacher.sha256, state, saved)
    return Fitted.of_run(run, model, state, epochs, train_set)


def _save(
    run: Run,
    writer: MetricsWriter,
    provenance: dict,
    state: TrainState,
    epoch: float,
    metrics: dict[str, float],
) -> None:
    writer.sync()  # the lines that lead to this state
    run.checkpoints.save(state, epoch=epoch, metrics=metrics, provenance=provenance)


def _announce(recipe: Recipe, schedule: Schedule, train_set: TrainSet) -> None:
    geometry = recipe.geometry
    first = image_dimensions(train_set.records[0].path, geometry.reading)
    squashed = squash_remark(first, geometry)
    if squashed is not None:
        logger.warning("%s", squashed)
    if schedule.num_images < schedule.batch_size:
        logger.warning(
            "%d training images are fewer than train.batch_size=%d: batches repeat images",
            schedule.num_images,
            schedule.batch_size,
        )
    logger.info(
        "%s: %d %s of %s, %s teacher, %d steps, %s on %d device(s)",
        recipe.config.data.category,
        schedule.num_images,
        "tiles" if recipe.geometry.is_tiled else "images",
        recipe.geometry,
        recipe.config.teacher.arch,
        schedule.num_steps,
        recipe.parallel.mode,
        recipe.parallel.num_devices,
    )


def _earlier_losses(run: Run, step: int) -> list[float]:
    """Returns the losses of the epochs before a run is resumed."""
    lines = read_lines(run.workdir.metrics)
    return [line["loss"] for line in lines if line["kind"] == "epoch" and line["step"] <= step]


def _end_early(
    run: Run, recipe: Recipe, schedule: Schedule, epochs: int
) -> tuple[Recipe, Schedule]:
    """Keeps the number of epochs after which the loss has levelled off as the run's own."""
    logger.info(
        "training ends after %d of %d epochs, because the loss has levelled off: %d epochs lowered "
        "it by less than %.3g %% (train.level_off)",
        epochs,
        schedule.epochs,
        WINDOW,
        100 * recipe.config.train.level_off,
    )
    config = recipe.config.copy_and_resolve_references()
    config.train.epochs = epochs
    recipe = dataclasses.replace(recipe, config=config.lock())
    if is_main_process():
        save_config(run.workdir, recipe.config)
    return recipe, dataclasses.replace(schedule, epochs=epochs)


def _make_evaluate_fn(recipe: Recipe, model: ReverseDistillation):
    """Makes a function that scores the test set with a state, on this process's own devices.

    None if training does not score it; the main process scores for all.
    """
    if recipe.config.train.evaluate_every_epochs == 0:
        return None
    if not is_main_process():
        return lambda state: {}
    test_set: TestSet = recipe.load_test()
    score = make_state_scorer(recipe, model)

    def evaluate_fn(state: TrainState) -> dict[str, float]:
        maps, scores = score(state, test_set.images)
        refuse_not_finite([record.name for record in test_set.records], scores)
        metrics = evaluate_maps(maps, scores, test_set.masks, test_set.labels, test_set.valid_mask)
        return {name: value for name, value in metrics.items() if value is not None}

    return evaluate_fn
