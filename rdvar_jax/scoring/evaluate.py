"""All metrics of a scored test set."""

import numpy as np

from rdvar_jax.scoring.metrics import image_metrics, pixel_metrics


def evaluate_maps(
    maps: np.ndarray, scores: np.ndarray, masks: np.ndarray, labels: np.ndarray
) -> dict[str, float | None]:
    """Image and pixel metrics; None where the set cannot define one.

    Args:
        maps: [N, S, S] float32.
        scores: [N] float32.
        masks: [N, S, S] bool.
        labels: [N], 0 good and 1 defective.
    """
    return {**image_metrics(scores, labels), **pixel_metrics(maps, masks)}
