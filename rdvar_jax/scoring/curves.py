"""Exact counts of found and false items at each threshold, without binning or rounding.

Every threshold metric here depends on three counts at each distinct score of a defective item:
the defective items at or above it, and the defect-free ones above it and at or above it. Between
two such scores only false positives can grow, so the other thresholds are not needed, and the
curve stays short: a few per cent of the pixels are defective.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """The curve of one set: P defective and M defect-free items, K distinct defective scores.

    The K points run from the highest score to the lowest. Items with equal scores share one point;
    -0.0 and 0.0 are equal.

    Attributes:
        order: int64 [P], the defective items from the highest score to the lowest, as positions
            among the defective items in the set's order.
        last: int64 [K], the position in `order` of the last item of each point.
        false_above: int64 [K], defect-free items whose score is higher than the point's.
        false_at: int64 [K], defect-free items whose score is at least the point's.
        num_negative: M.
    """

    order: np.ndarray
    last: np.ndarray
    false_above: np.ndarray
    false_at: np.ndarray
    num_negative: int

    @property
    def num_positive(self) -> int:
        return len(self.order)

    @property
    def found(self) -> np.ndarray:
        """int64 [K]: defective items whose score is at least the point's."""
        return self.last + 1


def rank(scores: np.ndarray, labels: np.ndarray) -> Ranking:
    """Ranks finite scores [n] of any dtype by bool labels [n] with both classes present.

    Each class is sorted once, in its own dtype. The defect-free items, nearly all of them, need
    only a sort of values, which numpy does many times faster than an argsort of float32. Memory
    beyond the arguments: about one copy of `scores`.
    """
    negatives = scores[~labels]
    negatives.sort()
    positives = scores[labels]
    order = np.argsort(positives)[::-1]
    positives = positives[order]
    last = np.append(np.flatnonzero(positives[1:] != positives[:-1]), len(positives) - 1)
    points = positives[last]
    return Ranking(
        order=order,
        last=last,
        false_above=len(negatives) - np.searchsorted(negatives, points, side="right"),
        false_at=len(negatives) - np.searchsorted(negatives, points, side="left"),
        num_negative=len(negatives),
    )


def false_and_height(ranking: Ranking, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the corners of a piecewise linear curve against false positives.

    Args:
        ranking: of the set.
        height: float64 [K], the curve's value at each point, rising from above 0 to 1.

    Returns:
        False positives, int64, and height, float64, both [2K + 2], from (0, 0) to
        (num_negative, 1).
    """
    before = np.concatenate([[0.0], height[:-1]])
    # Defect-free items above a point raise only the FPR; those tied with it raise both.
    false = np.stack([ranking.false_above, ranking.false_at], axis=1).ravel()
    height = np.stack([before, height], axis=1).ravel()
    false = np.concatenate([[0], false, [ranking.num_negative]])
    return false, np.concatenate([[0.0], height, [1.0]])


def cut_at(end: float, false: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a curve at `end` false positives and adds a corner there."""
    inside = int(np.searchsorted(false, end, side="right"))
    around_end = slice(inside - 1, inside + 1)
    height_at_end = np.interp(end, false[around_end], height[around_end])
    return np.append(false[:inside], end), np.append(height[:inside], height_at_end)


def area_under_roc(ranking: Ranking) -> float:
    """Computes P(defective > defect-free) + P(equal) / 2 over all pairs, in integers."""
    newly_found = np.diff(ranking.found, prepend=0)
    # Each pair counts 2 when the defective item is higher and 1 when the two are equal.
    won = 2 * ranking.num_negative - ranking.false_above - ranking.false_at
    return int(newly_found @ won) / (2 * ranking.num_positive * ranking.num_negative)


def average_precision_of(ranking: Ranking) -> float:
    """Computes Σ over the points of (gain in recall) · precision, without interpolation."""
    newly_found = np.diff(ranking.found, prepend=0)
    precision = ranking.found / (ranking.found + ranking.false_at)
    return float(np.sum(newly_found * precision)) / ranking.num_positive


def best_f1(ranking: Ranking) -> float:
    """Returns the highest 2·TP / (2·TP + FP + FN) of any threshold."""
    flagged = ranking.found + ranking.false_at
    return float(np.max(2 * ranking.found / (flagged + ranking.num_positive)))
