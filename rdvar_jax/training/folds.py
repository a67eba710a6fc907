"""Scores of training images as of new ones, by students that did not see them (cross-fitting).

The images are divided into folds. For each fold a student is trained on the other ones, for as many
epochs as the final one, so it sees each image as often, and scores the fold. Step, teacher and
features are shared, so a fold costs its steps alone.

Two corrections lead from these scores to what the final student would say of new images
(docs/how_to/thresholds.md):

- Scores of two students are not on one scale: they fall while a student is trained, by about the
  same amount for all images, and differ a little from one training to the next. Both show in the
  scores of images that a student was trained on. So a fold's scores are shifted by the difference
  between the medians of these of the final student and of the fold's.
- The fewer images a student has seen, the more a new one exceeds the known ones. By how much is
  measured on one fold: a second student is trained without a part of the other images, and scores
  the fold too. The factor by which the excess falls from those to all other images is taken once
  more, from these to all.
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
MAX_EXPONENT = 2  # the excess of n images falls at most as n⁻², whatever two noisy means say


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Scores of one fold's n images by its student.

    Attributes:
        rows: indices of the images.
        maps: float32 [n, H, W], raw.
        scores: float32 [n], raw.
        seen_median: of the student's scores of images that it was trained on.
        few_scores: float32 [n], raw, of the second student, which has seen fewer images; None if
            there is none.
        few_seen_median: of its scores of images that it was trained on.
    """

    rows: tuple[int, ...]
    maps: np.ndarray
    scores: np.ndarray
    seen_median: float
    few_scores: np.ndarray | None = None
    few_seen_median: float = 0.0


@dataclass(frozen=True, eq=False)
class LikeNew:
    """Estimates of what the final student would say of the N images if they were new to it.

    Attributes:
        scores: float32 [N], in the order of training.
        peaks: float32 [N], of the maxima of maps.
        shifts: of each fold, what was added to its scores, for the scale of the final student.
        factor: by which the excess over known images was multiplied, at most 1.
    """

    scores: np.ndarray
    peaks: np.ndarray
    shifts: list[float]
    factor: float


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
    first: Callable[[], TrainState],
    score: ScoreRows,
    schedule: Schedule,
    rows: tuple[int, ...],
    description: str,
    progress: bool = True,
    second: bool = False,
) -> FoldScores:
    """Trains a student on all images but those of a fold, and scores the fold.

    Args:
        trainer: with all images.
        first: makes the first state.
        score: scores images with a state.
        schedule: of the final training; its batch size, seed and epochs are used.
        rows: the fold.
        description, progress: of the progress bar.
        second: whether to train a second student, on as small a share of the other images as these
            are of all, if that is enough for a step.

    Raises:
        Diverged: a loss or a gradient is not finite.
    """
    fold = set(rows)
    others = tuple(index for index in range(schedule.num_images) if index not in fold)

    def trained_on(chosen: tuple[int, ...], words: str) -> TrainState:
        shorter = replace(schedule, num_images=len(chosen), rows=chosen)
        return trainer.fit(first(), shorter, description=words, progress=progress)[0]

    state = trained_on(others, description)
    maps, scores = score(state, rows)
    median = seen_median(state, score, others)
    every = round(schedule.num_images / len(rows))
    fewer = tuple(row for place, row in enumerate(others) if place % every)
    if not second or not fewer or not replace(schedule, num_images=len(fewer)).num_steps:
        return FoldScores(rows, maps, scores, median)
    state = trained_on(fewer, f"{description}, fewer images")
    few_scores = score(state, rows)[1]
    return FoldScores(rows, maps, scores, median, few_scores, seen_median(state, score, fewer))


def seen_median(state: TrainState, score: ScoreRows, rows: Sequence[int]) -> float:
    """Returns the median score of images that a student was trained on, of 100 at most."""
    step = max(1, len(rows) // MAX_SEEN)
    return float(np.median(score(state, rows[::step][:MAX_SEEN])[1]))


def like_new(folds: Sequence[FoldScores], scores: np.ndarray, peaks: np.ndarray) -> LikeNew:
    """Estimates what the final student would say of the images if they were new to it.

    An image's excess is its score by a student that has not seen it, on the scale of the final
    student, less that of the final student, which has seen it.

    Args:
        folds: all of them.
        scores: float32 [N], by the final student, raw.
        peaks: float32 [N], the maxima of its maps.
    """
    median = float(np.median(scores))
    shifts = [median - one.seen_median for one in folds]
    known = np.stack([scores, peaks])
    excess = np.empty_like(known)
    for one, shift in zip(folds, shifts, strict=True):
        rows = list(one.rows)
        excess[:, rows] = np.stack([one.scores, one.maps.max(axis=(1, 2))]) + shift - known[:, rows]
    factor = _factor(folds, scores, excess[0], median)
    found = known + np.float32(factor) * excess
    return LikeNew(found[0], found[1], shifts, factor)


def _factor(
    folds: Sequence[FoldScores], scores: np.ndarray, excess: np.ndarray, median: float
) -> float:
    """Returns the factor by which the mean excess of the same images fell with more images."""
    few, most = [], []
    for one in folds:
        if one.few_scores is not None:
            rows = list(one.rows)
            few.append(one.few_scores + (median - one.few_seen_median) - scores[rows])
            most.append(excess[rows])
    if not few:
        return 1.0
    before, after = float(np.concatenate(few).mean()), float(np.concatenate(most).mean())
    if after <= 0 or before <= after:
        return 1.0
    return max(after / before, (1 - 1 / len(folds)) ** MAX_EXPONENT)
