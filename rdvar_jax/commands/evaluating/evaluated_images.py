"""Images that a run is evaluated on, with their maps and scores."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdvar_jax.data.loading.arrays import TestSet
from rdvar_jax.errors import CheckpointError
from rdvar_jax.runs.fold_scores import WAY_OUT, GoodScores, read_fold_maps, read_good_scores
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.saved_run import TrainedRun
from rdvar_jax.runs.threshold_file import same_scores, score_settings
from rdvar_jax.runs.trained_images import Seen, describe_seen, find_seen, read_trained_images

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True, eq=False)
class ScoredTestSet:
    """Test images with maps and scores.

    Attributes:
        images: the test images; of a run on photographs also the good ones.
        maps: float32 [N, H, W], raw.
        scores: float32 [N], raw.
        folds: where the good images are those of training, scored by folds.
        trained_on: test images that the run was trained on; None where that is unknown.
    """

    images: TestSet
    maps: np.ndarray
    scores: np.ndarray
    folds: GoodScores | None
    trained_on: list[Seen] | None

    @property
    def names(self) -> list[str]:
        return [record.name for record in self.images.records]


def score_test_images(run: Run, trained: TrainedRun) -> ScoredTestSet:
    """Loads and scores the test images.

    A run on photographs (`data.good`) has no good test images. There the training images take their
    place, each with the score of a student that was not trained on it, or those of
    `data.validation`.

    Raises:
        DataError: there are no test images, or one cannot be read.
        CheckpointError: the folds' scores are damaged, or do not fit images or settings.
    """
    recipe = run.recipe
    if not recipe.config.data.good:
        return _score(run, trained, recipe.load_test())
    category = recipe.category
    assert category is not None
    folds = read_good_scores(run.workdir, trained.saved)
    good = category.validation if folds is None else category.train
    test = (*good, *category.test)
    found = dataclasses.replace(
        recipe, category=dataclasses.replace(category, test=test)
    ).load_test()
    if folds is None:
        return _score(run, trained, found)
    return _with_folds(run, trained, found, folds)


def _score(run: Run, trained: TrainedRun, test_set: TestSet) -> ScoredTestSet:
    seen = _find_trained_on(run, trained, test_set, range(len(test_set.records)))
    maps, scores = trained.score(test_set.images, progress=True)
    return ScoredTestSet(test_set, maps, scores, None, seen)


def _with_folds(
    run: Run, trained: TrainedRun, test_set: TestSet, folds: GoodScores
) -> ScoredTestSet:
    path = run.workdir.good_scores
    if not same_scores(folds.score, score_settings(run.config)):
        raise CheckpointError(
            f"{path} was made with the settings {folds.score}, now {score_settings(run.config)}; "
            "restore the old ones, or run the same rdvar train command again with the new ones."
        )
    maps_of_folds = read_fold_maps(run.workdir, folds)
    if maps_of_folds is None:
        raise CheckpointError(f"{path} has lost the maps in {run.workdir.folds}; {WAY_OUT}")
    row_of = {sha256: row for row, sha256 in enumerate(folds.images_sha256)}
    is_good = test_set.labels == 0
    rows = [row_of.get(one.sha256) for one in test_set.hashes]
    lost = [
        r.name
        for r, row, good in zip(test_set.records, rows, is_good, strict=True)
        if good and row is None
    ]
    if lost:
        raise CheckpointError(
            f"{path} has no score of {lost[0]} and {len(lost) - 1} others, because the photographs "
            "have changed since training; restore them, or train again."
        )
    maps = np.empty((len(rows), *maps_of_folds.shape[1:]), np.float32)
    scores = np.empty(len(rows), np.float32)
    good_rows = [row for row, good in zip(rows, is_good, strict=True) if good and row is not None]
    maps[is_good], scores[is_good] = maps_of_folds[good_rows], folds.scores[good_rows]
    if trained.ignore is not None:
        height, width = maps_of_folds.shape[1:]
        maps[:, trained.ignore.on_map(trained.geometry, (width, height))] = 0
    bad = np.flatnonzero(~is_good)
    if len(bad):
        maps[bad], scores[bad] = trained.score(
            np.asarray(test_set.images[bad.tolist()]), progress=True
        )
    seen = _find_trained_on(run, trained, test_set, bad.tolist())
    return ScoredTestSet(test_set, maps, scores, folds, seen)


def _find_trained_on(
    run: Run, trained: TrainedRun, test_set: TestSet, rows: Sequence[int]
) -> list[Seen] | None:
    """Finds which of these images the run was trained on; a warning names them."""
    known = read_trained_images(run.workdir, trained.saved)
    if known is None:
        return None
    names = [test_set.records[row].name for row in rows]
    seen = [one for one in find_seen(known, names, [test_set.hashes[row] for row in rows]) if one]
    if seen:
        logger.warning(
            "%s; metrics with them do not say how well new images are told apart: remove them from "
            "the test images, or train without them",
            describe_seen(seen, len(names), "test images"),
        )
    return seen
