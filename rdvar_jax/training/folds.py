"""Scores of training images by students that were not trained on them (cross-fitting).

The images are divided into folds. For each fold a student is trained on the other ones, for as many
epochs as the final one, so it sees each image as often, and scores the fold. Step, teacher and
features are shared, so a fold costs its steps alone.

Scores of two students are not on one scale: they fall while a student is trained, by about the same
amount for all images, and differ a little from one training to the next. Both show in the scores of
images that a student was trained on. So a fold's scores are shifted by the difference between the
medians of these of the final student and of the fold's (docs/how_to/thresholds.md).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rdvar_jax.training.fit import Trainer
from rdvar_jax.training.loop import Schedule
from rdvar_jax.training.step import TrainState

# State and image indices to maps [n, H, W] and scores [n], float32.
ScoreRows = Callable[[TrainState, Sequence[int]], tuple[np.ndarray, np.ndarray]]

MAX_SEEN = 100  # images of `seen_median`


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Scores of one fold's n images by its student.

    Attributes:
        rows: indices of the images.
        maps: float32 [n, H, W], raw.
        scores: float32 [n], raw.
        seen_median: of the student's scores of images that it was trained on.
    """

    rows: tuple[int, ...]
    maps: np.ndarray
    scores: np.ndarray
    seen_median: float


def split_folds(keys: Sequence[str], number: int, seed: int) -> list[tuple[int, ...]]:
    """Divides images into folds.

    Which one follows from the seed and the images alone. Equal images are in the same fold, as
    otherwise one would be scored by a student that was trained on the other; all else being equal,
    sizes differ by one at most.

    Args:
        keys: of the N images, equal for equal ones.
        number: of folds; no more are made than there are different images.
        seed: the run's seed.

    Returns:
        The indices of the images of each fold, rising.
    """
    places = {key: hashlib.sha256(f"{seed} fold {key}".encode()).digest() for key in keys}
    order = sorted(places, key=places.__getitem__)
    number = min(number, len(order))
    fold_of = {key: place % number for place, key in enumerate(order)}
    folds: list[list[int]] = [[] for _ in range(number)]
    for index, key in enumerate(keys):
        folds[fold_of[key]].append(index)
    return list(map(tuple, folds))


def score_fold(
    trainer: Trainer,
    state: TrainState,
    score: ScoreRows,
    schedule: Schedule,
    rows: tuple[int, ...],
    description: str,
    progress: bool = True,
) -> FoldScores:
    """Trains a student on all images but those of a fold, and scores the fold.

    Args:
        trainer: with all images.
        state: the first state; donated.
        score: scores images with a state.
        schedule: of the final training; its batch size, seed and epochs are used.
        rows: the fold.
        description, progress: of the progress bar.

    Raises:
        Diverged: a loss or a gradient is not finite.
    """
    fold = set(rows)
    others = tuple(index for index in range(schedule.num_images) if index not in fold)
    shorter = replace(schedule, num_images=len(others), rows=others)
    state, _ = trainer.fit(state, shorter, description=description, progress=progress)
    maps, scores = score(state, rows)
    return FoldScores(rows, maps, scores, seen_median(state, score, others))


def seen_median(state: TrainState, score: ScoreRows, rows: Sequence[int]) -> float:
    """Returns the median score of images that a student was trained on, of 100 at most."""
    step = max(1, len(rows) // MAX_SEEN)
    return float(np.median(score(state, rows[::step][:MAX_SEEN])[1]))
