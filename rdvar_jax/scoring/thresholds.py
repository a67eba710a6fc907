"""From scores of good images to a threshold; no defect and no label is needed.

An image is called defective where its score is above the threshold, not where it is equal. All
thresholds here are float32 values, so float32 scores compare exactly with what a file keeps.

What a bound promises holds for images like those the scores are of: good, drawn alike, and not
trained on. Scores of training images are lower than those of new ones.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from rdvar_jax.errors import DataError
from rdvar_jax.scoring import curves

METHODS = ("fpr", "quantile", "gpd")
TAIL_START = 0.9  # the quantile above which `from_tail_fit` takes scores for the tail
MIN_EXCESSES = 10  # fewer give no usable fit of a tail


@dataclass(frozen=True)
class Threshold:
    """A threshold and what is known of it.

    Attributes:
        value: a float32 value.
        num_above: how many of the scores it was made from are above it.
        fpr_bound: the false-positive rate is at most this with the confidence asked for: the
            one-sided Clopper-Pearson bound. None where the method gives none.
    """

    value: float
    num_above: int
    fpr_bound: float | None


def from_target_fpr(scores: npt.ArrayLike, target: float, confidence: float) -> Threshold:
    """The lowest score whose false-positive rate is at most `target` with `confidence`.

    The rate of the k-th smallest of n scores is at most Beta(n - k + 1, k) distributed, whatever
    the scores' distribution, and k follows from n alone. Source: Wilks, "Determination of Sample
    Sizes for Setting Tolerance Limits", 1941.

    Args:
        scores: [N], finite, of good images.
        target: the false-positive rate, in (0, 1).
        confidence: 1 - δ, in (0, 1).

    Raises:
        DataError: N is too small for any threshold to give that; the message says which N is
            enough. Or the scores cannot be used.
        ValueError: target or confidence is out of range.
    """
    _check_share("target", target)
    _check_share("confidence", confidence)
    ordered = _sorted(scores)
    n = len(ordered)
    # bounds[j]: of the score with j others above it. It grows with j.
    above = np.arange(n)
    bounds = special.betaincinv(above + 1.0, n - above, confidence)
    allowed = int(np.count_nonzero(bounds <= target))
    if allowed == 0:
        raise DataError(
            f"{_images(n)} cannot show a false-positive rate of {target:g} with confidence "
            f"{confidence:g}: the highest score shows {bounds[0]:.3g}; give "
            f"{images_needed(target, confidence)} images or more, a higher target or a lower "
            "confidence."
        )
    return _threshold(ordered, float(ordered[n - allowed]), float(bounds[allowed - 1]))


def images_needed(target: float, confidence: float) -> int:
    """The fewest good images with which `from_target_fpr` gives a threshold: the highest score's.

    It is the least n with (1 - target)^n <= 1 - confidence; 59 for 0.05 and 0.95.
    """
    _check_share("target", target)
    _check_share("confidence", confidence)
    return math.ceil(math.log1p(-confidence) / math.log1p(-target))


def from_quantile(scores: npt.ArrayLike, quantile: float, confidence: float) -> Threshold:
    """The lowest score that at least the share `quantile` of the scores does not exceed.

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
    # The tolerance is for products such as 0.07 * 100, which is over 7 in floats.
    position = max(1, math.ceil(quantile * n - 1e-9))
    bound = float(special.betaincinv(n - position + 1.0, position, confidence))
    return _threshold(ordered, float(ordered[position - 1]), bound)


def from_tail_fit(scores: npt.ArrayLike, target: float) -> Threshold:
    """The score that a generalised Pareto tail exceeds with probability `target`.

    The scores above their quantile `TAIL_START` are fitted by probability-weighted moments, which
    stay usable with few scores. It reaches rates for which there are too few images to count, and
    in exchange promises nothing: `fpr_bound` is None.

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
            f"the target {target:g} lies under the tail, which holds {1 - TAIL_START:g} of the "
            "scores"
        )
    ordered = _sorted(scores)
    n = len(ordered)
    low = float(ordered[max(1, math.ceil(TAIL_START * n - 1e-9)) - 1])
    excesses = ordered[ordered > low].astype(np.float64) - low
    m = len(excesses)
    if ordered[0] == ordered[-1]:
        raise DataError(f"All {n} scores are {low:g}, and a tail cannot be fitted to one value.")
    if m < MIN_EXCESSES:
        raise DataError(
            f"Of {_images(n)} {m} have a score in the tail, and a fit needs {MIN_EXCESSES}; give "
            f"about {math.ceil(MIN_EXCESSES / (1 - TAIL_START) - 1e-9)} images, or use another "
            "method."
        )
    first = float(np.mean(excesses))
    second = float(np.mean(excesses * (m - 1 - np.arange(m)) / (m - 1)))  # E[x (1 - F(x))]
    shape = 2 - first / (first - 2 * second)
    scale = 2 * first * second / (first - 2 * second)
    ratio = m / n / target
    # expm1(shape · log ratio) / shape, which is log ratio where the shape is 0.
    grown = math.log(ratio) if abs(shape) < 1e-9 else math.expm1(shape * math.log(ratio)) / shape
    value = low + scale * grown
    rounded = np.float32(value)
    if float(rounded) < value:
        rounded = np.nextafter(rounded, np.float32(np.inf))
    return _threshold(ordered, float(rounded), None)


def best_f1_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """The threshold of `metrics.f1_max`. It is chosen with the labels: an oracle.

    Args:
        scores: [N] float32, finite.
        labels: [N], true for a defective image.

    Returns:
        The highest score that is not called defective, or the next float32 under the lowest where
        all are; None when only one class is present. Of equally good ones the highest.
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
    """float32 [N], ascending."""
    scores = np.asarray(scores, np.float32)
    if scores.ndim != 1 or scores.size == 0:
        raise DataError("There is no score to set a threshold with; give good images.")
    if not np.isfinite(scores).all():
        raise DataError("A score is nan or infinite, and no threshold can be set; train again.")
    return np.sort(scores)


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must be over 0 and under 1, not {value:g}")


def _images(n: int) -> str:
    return "1 good image" if n == 1 else f"{n} good images"
