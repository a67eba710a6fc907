"""Scores of a run's training images, as of images that its student was not trained on."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np

from rdvar_jax.commands.thresholds.state_scorer import make_state_scorer
from rdvar_jax.data.loading.arrays import TrainSet
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.runs.config import determining_settings
from rdvar_jax.runs.fold_scores import (
    FoldFiles,
    GoodScores,
    read_good_scores,
    write_good_scores,
)
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.threshold_file import score_settings
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.training.fit import Trainer, first_state
from rdvar_jax.training.folds import FoldScores, like_new, score_fold, split_folds
from rdvar_jax.training.loop import Schedule
from rdvar_jax.training.manifest import SavedStep
from rdvar_jax.training.step import TrainState

logger = logging.getLogger("rdvar_jax")


def score_folds(
    run: Run,
    model: ReverseDistillation,
    train_set: TrainSet,
    schedule: Schedule,
    get_trainer: Callable[[], Trainer],
    teacher_sha256: str,
    state: TrainState,
    saved: SavedStep,
) -> None:
    """Writes `good_scores.json`; folds that an earlier call has finished are not repeated.

    Args:
        run: the trained run.
        model: its teacher and first student.
        train_set: the training images, in memory.
        schedule: of the training that is finished.
        get_trainer: makes the trainer, or returns that of the training.
        teacher_sha256: of the run's copy of the teacher.
        state: the final one.
        saved: its manifest.

    Raises:
        Diverged: a loss is not finite.
        DataError: a score is not finite.
    """
    config = run.config
    names = [record.name for record in train_set.records]
    hashes = [one.sha256 for one in train_set.hashes]
    parts = split_folds(hashes, config.train.folds, config.train.seed)
    settings = score_settings(config)
    files = FoldFiles.of(
        run.workdir,
        {
            "settings": determining_settings(config),
            "score": settings,
            "teacher": teacher_sha256,
            "data": train_set.fingerprint,
            "epochs": schedule.epochs,
            "folds": len(parts),
            "second": 1,  # students on fewer images; earlier versions had none
        },
    )
    known = read_good_scores(run.workdir, saved)
    if known is not None and known.folds_sha256 == files.sha256:
        return
    folds: list[FoldScores] = []
    scorer = cache(partial(make_state_scorer, run.recipe, model))

    def score(state: TrainState, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        maps, scores = scorer()(state, train_set.images[list(rows)])
        refuse_not_finite([names[row] for row in rows], scores)
        return maps, scores

    def first() -> TrainState:
        return first_state(model, run.recipe.tx, run.recipe.loss, run.recipe.parallel)

    started, num_trained = time.perf_counter(), 0
    for index, rows in enumerate(parts):
        fold = files.read(index)
        if fold is None:
            if num_trained:
                minutes = (time.perf_counter() - started) / 60 / num_trained
                logger.info("folds: about %.1f minutes left", minutes * (len(parts) - index))
            num_trained += 1
            fold = score_fold(
                get_trainer(),
                first,
                score,
                schedule,
                rows,
                description=f"fold {index + 1} of {len(parts)}",
                second=index == 0,
            )
            files.write(index, fold)
        folds.append(fold)
    known_scores, known_peaks = np.empty((2, len(names)), np.float32)
    for rows in parts:  # the maps of all at once could exceed the memory
        maps, known_scores[list(rows)] = score(state, rows)
        known_peaks[list(rows)] = maps.max(axis=(1, 2))
    new = like_new(folds, known_scores, known_peaks)
    of_folds = new.shifts, new.factor, settings, files.sha256
    found = GoodScores(names, hashes, new.scores, new.peaks, *of_folds)
    write_good_scores(run.workdir, found, saved)
    logger.info(
        "each of the %d training images is scored by a network that was not trained on it; %+.4f "
        "to %+.4f is added to these scores, for the scale of the final network, and their excess "
        "over its own multiplied by %.2g, because it has seen more images",
        len(names),
        min(new.shifts),
        max(new.shifts),
        new.factor,
    )
