"""`rdvar train`: trains a run on a category's good images."""

import logging
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from rdvar_jax.data.loading.arrays import TestSet, TrainSet
from rdvar_jax.data.pixels.aspect import squash_remark
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.devices.processes import (
    all_devices,
    barrier,
    check_agreement,
    is_main_process,
)
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.fitted import Fitted
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.resume_checks import refuse_if_not_resumable
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.saved_run import tiled
from rdvar_jax.runs.workdir import (
    Workdir,
    locked_for_training,
    with_kept_full_scale,
    with_kept_ignore,
)
from rdvar_jax.scoring.all_metrics import evaluate_maps
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.scoring.pooling import pack_pixels
from rdvar_jax.scoring.scores import make_score_fn
from rdvar_jax.training.fit import fit_student, student_of
from rdvar_jax.training.loop import Schedule
from rdvar_jax.training.step import TrainState
from rdvar_jax.training.writer import MetricsWriter

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
    if step >= schedule.num_steps:
        logger.info("nothing to do: all %d steps are done", step)
    else:
        run.begin(train_set)  # only now, as it stores settings that resuming may change
        _announce(recipe, schedule, train_set)
        evaluate_fn = _make_evaluate_fn(recipe, model)
        main, tensorboard = is_main_process(), config.logging.tensorboard
        barrier("first step")
        with MetricsWriter(
            run.workdir.metrics if main else None,
            step,
            run.workdir.tensorboard if tensorboard else None,
        ) as writer:
            state, epochs = fit_student(
                model,
                train_set.images,
                state,
                schedule,
                computation,
                loss=recipe.loss,
                tx=recipe.tx,
                write=writer.write,
                save=partial(_save, run, writer, provenance),
                evaluate_fn=evaluate_fn,
            )
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


def _make_evaluate_fn(recipe: Recipe, model: ReverseDistillation):
    """Makes a function that scores the test set with a state, on this process's own devices.

    None if training does not score it; the main process scores for all.
    """
    if recipe.config.train.evaluate_every_epochs == 0:
        return None
    if not is_main_process():
        return lambda state: {}
    test_set: TestSet = recipe.load_test()
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

    def evaluate_fn(state: TrainState) -> dict[str, float]:
        variables = recipe.parallel.to_local(student_of(state))
        score = partial(score_fn, teacher_variables, variables)
        score = tiled(score, recipe.geometry, config.score.pooling, recipe.ignore)
        maps, scores = score(test_set.images)
        refuse_not_finite([record.name for record in test_set.records], scores)
        metrics = evaluate_maps(maps, scores, test_set.masks, test_set.labels, test_set.valid_mask)
        return {name: value for name, value in metrics.items() if value is not None}

    return evaluate_fn
