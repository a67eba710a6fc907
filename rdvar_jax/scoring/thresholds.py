"""Thresholds from scores of good images; no defects and no labels are needed.

An image is classified as defective if its score is above the threshold, not if it is equal. All
thresholds are float32 values, so float32 scores compare exactly with a stored threshold.

Bounds hold for images from the same distribution as the scored ones: good, and not trained on.
Training images have lower scores than new ones.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from rdvar_jax.errors import DataError
from rdvar_jax.scoring import curves

METHODS = ("mean", "fpr", "quantile", "gpd", "cost")
TAIL_START = 0.9  # the quantile above which scores belong to the tail in `from_tail_fit`
MIN_EXCESSES = 10  # a tail cannot be fitted usefully to fewer


@dataclass(frozen=True)
class Threshold:
    """A threshold and its bound.

    Attributes:
        value: a float32 value.
        num_above: number of the scores it was computed from that are above it.
        fpr_bound: upper bound of the false-positive rate at the requested confidence, one-sided
            Clopper-Pearson; None if the method has none.
        mean_rate: the false-positive rate on average over draws of the good images; None if the
            method has none.
        rate_low, rate_high: the rate is between them in 9 of 10 draws of the good images.
    """

    value: float
    num_above: int
    fpr_bound: float | None
    mean_rate: float | None = None
    rate_low: float | None = None
    rate_high: float | None = None


def from_mean_rate(scores: npt.ArrayLike, target: float) -> Threshold:
    """Finds the lowest score that on average at most `target` of new good images exceed.

    It is the k-th smallest of n scores with k = ⌈(n + 1)(1 - target)⌉. Whatever their distribution,
    a new score is above it with a probability of (n + 1 - k) / (n + 1) at most, over the draws of
    all n + 1. Of one draw of the n, the rate is Beta(n + 1 - k, k) distributed, if no scores are
    equal. If n is too small for the target, it is the highest score, and `mean_rate` exceeds the
    target.

    Args:
        scores: [N], finite, of good images.
        target: the false-positive rate, in (0, 1).

    Raises:
        DataError: the scores cannot be used.
        ValueError: the target is out of range.

    Source: split conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random
    World", 2005; Angelopoulos and Bates, "A Gentle Introduction to Conformal Prediction", 2021.
    """
    _check_share("target", target)
    ordered = _sorted(scores)
    n = len(ordered)
    # The tolerance is for products such as 20 * 0.95, which exceeds 19 in floats.
    k = min(n, math.ceil((n + 1) * (1 - target) - 1e-9))
    low, high = special.betaincinv(n + 1.0 - k, float(k), [0.05, 0.95])
    found = _threshold(ordered, float(ordered[k - 1]), None)
    rates = ((n + 1 - k) / (n + 1), float(low), float(high))
    return Threshold(found.value, found.num_above, None, *rates)


def images_for_mean(target: float) -> int:
    """Returns the fewest good images whose highest score reaches `target`; 19 for 0.05."""
    _check_share("target", target)
    return math.ceil(1 / target - 1 - 1e-9)


def from_cost(good: npt.ArrayLike, defective: npt.ArrayLike, cost_missed: float) -> Threshold:
    """Finds the threshold with the lowest cost on labelled images, so chosen with labels.

    The cost is the number of falsely alarmed good images plus `cost_missed` times that of missed
    defective ones. Of equally good thresholds, that with the fewest alarms; it is put halfway to
    the next score above.

    Args:
        good: [N], scores, finite.
        defective: [M], scores, finite.
        cost_missed: cost of a missed defect, in false alarms; over 0.

    Raises:
        DataError: the scores cannot be used.
    """
    ordered, bad = _sorted(good), _sorted(defective)
    every = np.unique(np.concatenate([ordered, bad]))
    candidates = np.concatenate([[np.nextafter(every[0], np.float32(-np.inf))], every])
    alarms = len(ordered) - np.searchsorted(ordered, candidates, side="right")
    missed = np.searchsorted(bad, candidates, side="right")
    costs = alarms + cost_missed * missed
    best = int(np.flatnonzero(costs == costs.min())[-1])
    value = candidates[best]
    if 0 < best < len(candidates) - 1:
        value = np.float32((np.float64(value) + candidates[best + 1]) / 2)
        value = min(value, np.nextafter(candidates[best + 1], np.float32(-np.inf)))
    return _threshold(ordered, float(value), None)


def from_target_fpr(scores: npt.ArrayLike, target: float, confidence: float) -> Threshold:
    """Finds the lowest score whose false-positive rate is at most `target` with `confidence`.

    For any distribution of the scores, the rate of the k-th smallest of n scores is at most
    Beta(n - k + 1, k) distributed, and k depends only on n. Source: Wilks, "Determination of
    Sample Sizes for Setting Tolerance Limits", 1941.

    Args:
        scores: [N], finite, of good images.
        target: the false-positive rate, in (0, 1).
        confidence: 1 - δ, in (0, 1).

    Raises:
        DataError: N is too small for any threshold to reach that, and the message states a
            sufficient N; or the scores cannot be used.
        ValueError: target or confidence is out of range.
    """
    _check_share("target", target)
    _check_share("confidence", confidence)
    ordered = _sorted(scores)
    n = len(ordered)
    # bounds[j]: of the score with j others above it; it grows with j.
    above = np.arange(n)
    bounds = special.betaincinv(above + 1.0, n - above, confidence)
    allowed = int(np.count_nonzero(bounds <= target))
    if allowed == 0:
        raise DataError(
            f"{_images(n)} cannot guarantee a false-positive rate of {target:g} with confidence "
            f"{confidence:g}: the highest score guarantees {bounds[0]:.3g}; use "
            f"{images_needed(target, confidence)} images or more, a higher target or a lower "
            "confidence."
        )
    return _threshold(ordered, float(ordered[n - allowed]), float(bounds[allowed - 1]))


def images_needed(target: float, confidence: float) -> int:
    """Returns the fewest good images with which `from_target_fpr` finds a threshold.

    It is the least n with (1 - target)^n <= 1 - confidence; 59 for 0.05 and 0.95. The threshold is
    then the highest score.
    """
    _check_share("target", target)
    _check_share("confidence", confidence)
    return math.ceil(math.log1p(-confidence) / math.log1p(-target))


def from_quantile(scores: npt.ArrayLike, quantile: float, confidence: float) -> Threshold:
    """Finds the lowest score that at least the fraction `quantile` of the scores does not exceed.

    Args:
        scores: [N], finite, of good images.
        quantile: in (0, 1]; 1 is the highest score.
        confidence: of `fpr_bound`, in (0, 1).

    Raises:
        DataError: the scores cannot be used.
        ValueError: quantile or confidence is out of range.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"the quantile must be over 0 and at most 1, not {quantile:g}")
    _check_share("confidence", confidence)
    ordered = _sorted(scores)
    n = len(ordered)
    # The tolerance is for products such as 0.07 * 100, which exceeds 7 in floats.
    position = max(1, math.ceil(quantile * n - 1e-9))
    bound = float(special.betaincinv(n - position + 1.0, position, confidence))
    return _threshold(ordered, float(ordered[position - 1]), bound)


def from_tail_fit(scores: npt.ArrayLike, target: float) -> Threshold:
    """Finds the score that a generalised Pareto tail exceeds with probability `target`.

    The scores above their quantile `TAIL_START` are fitted by probability-weighted moments, which
    remain usable with few scores. It reaches rates that need more images with the other methods,
    but without a guarantee: `fpr_bound` is None.

    Args:
        scores: [N], finite, of good images.
        target: the false-positive rate, in (0, 1 - TAIL_START).

    Raises:
        DataError: fewer than `MIN_EXCESSES` scores are in the tail, or they are all equal.
        ValueError: the target is out of range.

    Source: Hosking and Wallis, "Parameter and Quantile Estimation for the Generalized Pareto
    Distribution", 1987.
    """
    _check_share("target", target)
    if target >= 1 - TAIL_START:
        raise ValueError(
            f"the target must be under {1 - TAIL_START:g}, the fraction of scores in the tail, not "
            f"{target:g}"
        )
    ordered = _sorted(scores)
    n = len(ordered)
    low = float(ordered[max(1, math.ceil(TAIL_START * n - 1e-9)) - 1])
    excesses = ordered[ordered > low].astype(np.float64) - low
    m = len(excesses)
    if ordered[0] == ordered[-1]:
        raise DataError(
            f"All {n} scores are {low:g}, so no tail can be fitted; use more varied images, or "
            "another method."
        )
    if m < MIN_EXCESSES:
        raise DataError(
            f"Only {m} of {_images(n)} have a score in the tail, and a fit needs {MIN_EXCESSES}; "
            f"use about {math.ceil(MIN_EXCESSES / (1 - TAIL_START) - 1e-9)} images, or another "
            "method."
        )
    first = float(np.mean(excesses))
    second = float(np.mean(excesses * (m - 1 - np.arange(m)) / (m - 1)))  # E[x (1 - F(x))]
    shape = 2 - first / (first - 2 * second)
    scale = 2 * first * second / (first - 2 * second)
    ratio = m / n / target
    # expm1(shape · log ratio) / shape, whose limit for shape 0 is log ratio.
    grown = math.log(ratio) if abs(shape) < 1e-9 else math.expm1(shape * math.log(ratio)) / shape
    value = low + scale * grown
    rounded = np.float32(value)
    if float(rounded) < value:
        rounded = np.nextafter(rounded, np.float32(np.inf))
    return _threshold(ordered, float(rounded), None)


def best_f1_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Finds the threshold of `metrics.f1_max`, an oracle: it is chosen with the labels.

    Args:
        scores: [N] float32, finite.
        labels: [N], true for a defective image.

    Returns:
        The highest score that is not classified as defective, or the next float32 below the lowest
        if all are; the highest of equally good ones; None if only one class is present.
    """
    scores, labels = np.asarray(scores, np.float32), np.asarray(labels, bool)
    if labels.all() or not labels.any():
        return None
    ranking = curves.rank(scores, labels)
    flagged = ranking.found + ranking.false_at
    best = int(np.argmax(2 * ranking.found / (flagged + ranking.num_positive)))
    ordered = np.sort(scores)[::-1]
    if flagged[best] < len(ordered):
        return float(ordered[flagged[best]])
    return float(np.nextafter(ordered[-1], np.float32(-np.inf)))


def _threshold(ordered: np.ndarray, value: float, bound: float | None) -> Threshold:
    above = len(ordered) - int(np.searchsorted(ordered, np.float32(value), side="right"))
    return Threshold(value, above, bound)


def _sorted(scores: npt.ArrayLike) -> np.ndarray:
    """Returns the scores as float32 [N], ascending."""
    scores = np.asarray(scores, np.float32)
    if scores.ndim != 1 or scores.size == 0:
        raise DataError("There are no scores to choose a threshold from; use good images.")
    if not np.isfinite(scores).all():
        raise DataError("A score is nan or infinite, so no threshold can be chosen; train again.")
    return np.sort(scores)


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, not {value:g}")


def _images(n: int) -> str:
    return "1 good image" if n == 1 else f"{n} good images"
