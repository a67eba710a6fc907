"""All metrics of a scored test set."""

import numpy as np

from rdvar_jax.scoring.metrics import image_metrics, pixel_metrics


def evaluate_maps(
    maps: np.ndarray,
    scores: np.ndarray,
    masks: np.ndarray,
    labels: np.ndarray,
    valid_mask: np.ndarray | None = None,
) -> dict[str, float | None]:
    """Image and pixel metrics; None where the set cannot define one.

    Args:
        maps: [N, H, W] float32.
        scores: [N] float32.
        masks: [N, H, W] bool.
        labels: [N], 0 good, 1 defective, and under 0 without a label.
        valid_mask: [N, H, W] bool, the pixels that count; None where all do.
    """
    if (labels < 0).any():  # half a set of labels gives no metric; one class gives None for all
        labels = np.zeros_like(labels)
    return {**image_metrics(scores, labels), **pixel_metrics(maps, masks, valid_mask=valid_mask)}
