"""Tells whether images still score as those that a threshold was chosen from.

A promise about false alarms holds for images like those of the threshold. A change of light, camera
or parts moves the scores of all images, good ones too; a two-sample test sees that without labels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_SCORES = 20  # of each sample; with fewer, only the coarsest change would be found
# A false report in a thousand looks. Looks at overlapping windows are not independent; they only
# repeat one.
LEVEL = 0.001
MAX_KEPT = 1000  # scores kept with a threshold


@dataclass(frozen=True)
class Drift:
    """A comparison of scores then and now.

    Attributes:
        num_then, num_now: number of scores.
        median_then, median_now: of the scores.
        distance: the largest distance of the two distribution functions, from 0 to 1
          (Kolmogorov and Smirnov).
        p_value: the probability of such a distance, or a larger one, if nothing changed; None with
          fewer than `MIN_SCORES` of either.
    """

    num_then: int
    num_now: int
    median_then: float
    median_now: float
    distance: float
    p_value: float | None

    @property
    def has_changed(self) -> bool | None:
        """Whether the scores have changed; None if there are too few to say."""
        return None if self.p_value is None else self.p_value < LEVEL

    def __str__(self) -> str:
        numbers = (
            f"median {self.median_now:.4g} of the last {self.num_now}, {self.median_then:.4g} of "
            f"the {self.num_then} that the threshold came from"
        )
        if self.p_value is None:
            return f"too few scores to tell whether they changed ({numbers})"
        test = f"two-sample Kolmogorov-Smirnov test, p = {self.p_value:.2g}"
        if not self.has_changed:
            return f"no sign of a change ({numbers}; {test})"
        if self.median_now > self.median_then:
            so = "more good parts than promised may be called defective"
        else:
            so = "defects may be missed"
        return (
            f"light, camera or parts have changed, or many parts are defective: the false-alarm "
            f"promise no longer holds, and {so} ({numbers}; {test})"
        )


def find_drift(then: npt.ArrayLike, now: npt.ArrayLike) -> Drift:
    """Compares scores with those that a threshold was chosen from.

    Args:
        then: [N], of good images, at least one.
        now: [M], of the last images, at least one; a few defective ones do not matter.

    Raises:
        ValueError: a sample is empty, or a score is not finite.
    """
    from scipy import stats  # 0.7 s

    old, new = (np.asarray(scores, np.float64) for scores in (then, now))
    if not (old.size and new.size and np.isfinite(old).all() and np.isfinite(new).all()):
        raise ValueError("both samples must be finite and not empty")
    found: Any = stats.ks_2samp(old, new, method="auto")
    enough = min(old.size, new.size) >= MIN_SCORES
    return Drift(
        old.size,
        new.size,
        float(np.median(old)),
        float(np.median(new)),
        float(found.statistic),
        float(found.pvalue) if enough else None,
    )


def kept_scores(scores: npt.ArrayLike) -> list[float]:
    """Returns scores to keep with a threshold, sorted: at most `MAX_KEPT`, evenly chosen."""
    ordered = np.sort(np.asarray(scores, np.float32))
    if len(ordered) > MAX_KEPT:
        ordered = ordered[np.linspace(0, len(ordered) - 1, MAX_KEPT).round().astype(int)]
    return [float(score) for score in ordered]
