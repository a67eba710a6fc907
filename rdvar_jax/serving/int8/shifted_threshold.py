"""A float32 threshold for the scores of an int8 model.

The scores that a threshold came from cannot all be had again: those of folds are of other networks,
and the files given to `rdvar threshold --input` are not recorded. What can be measured is how the
int8 model scores the same image. So the threshold is multiplied by that factor, and its rule, rank
and promise stay those of the original.
"""

from typing import Any

import numpy as np


def factor_of(float32: np.ndarray, int8: np.ndarray) -> dict[str, float]:
    """Measures int8 scores by the float32 scores of the same good images.

    The upper half counts, since a threshold is among the high scores.

    Args:
        float32: [N] scores, over 0.
        int8: [N] scores of the same images.

    Returns:
        `factor`, the median of the ratios, and `low` and `high`, between which 9 of 10 are.
    """
    upper = float32 >= np.median(float32)
    ratios = int8[upper].astype(np.float64) / float32[upper]
    low, factor, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    return {"factor": float(factor), "low": float(low), "high": float(high)}


def shifted(
    threshold: dict[str, Any],
    scores: tuple[np.ndarray, np.ndarray],
    peaks: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """Returns the manifest's entry `threshold` for an int8 model.

    Args:
        threshold: the entry for float32; one that was given is left alone.
        scores: float32 and int8 scores [N] of the same good images.
        peaks: the maxima of their maps.
    """
    if threshold.get("method") == "given":
        return threshold
    found = factor_of(*scores)
    value = {
        **threshold,
        "threshold": _times(threshold["threshold"], found["factor"]),
        "int8": {**found, "of_float32": threshold["threshold"], "num_images": len(scores[0])},
    }
    if threshold.get("good_scores"):  # what later scores are compared with
        value["good_scores"] = [_times(one, found["factor"]) for one in threshold["good_scores"]]
    if "pixel_threshold" in threshold:
        factor = factor_of(*peaks)["factor"]
        value["pixel_threshold"] = _times(threshold["pixel_threshold"], factor)
    return value


def _times(threshold: float, factor: float) -> float:
    # A float32 value, like the scores that are compared with it.
    return float(np.float32(threshold * factor))
