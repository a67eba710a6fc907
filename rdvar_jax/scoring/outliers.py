"""Outliers among the scores of good images: perhaps defects that nobody saw."""

import numpy as np
import numpy.typing as npt

MIN_SCORES = 10  # with fewer it is unclear what is usual
LIMIT = 4.5
"""In robust standard deviations of the log scores; docs/how_to/thresholds.md has the
measurements."""


def find_outliers(scores: npt.ArrayLike) -> list[int]:
    """Returns the indices of scores far above the others, highest first.

    A modified z-score: the distance from the median, in median absolute deviations scaled to a
    normal distribution's standard deviation, which a few outliers change little. Of logarithms,
    because scores are positive and their distribution has a long upper tail.

    Args:
        scores: [N], finite, of good images.

    Source: Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993.
    """
    logs = np.log(np.maximum(np.asarray(scores, np.float64), np.finfo(np.float32).tiny))
    if len(logs) < MIN_SCORES:
        return []
    above = logs - np.median(logs)
    spread = 1.4826 * np.median(np.abs(above))
    # More than half of the scores are equal: nothing shows what is usual.
    if spread == 0:
        return []
    order = np.argsort(-logs, kind="stable")
    return [int(index) for index in order if above[index] > LIMIT * spread]
