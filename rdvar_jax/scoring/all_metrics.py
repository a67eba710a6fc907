"""All metrics of a scored test set."""

import numpy as np

from rdvar_jax.scoring.metrics import image_metrics, pixel_metrics


def without_ignored(
    masks: np.ndarray, valid_mask: np.ndarray | None, ignored: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Leaves ignored pixels out of a set's masks and its pixels that count.

    Args:
        masks: [N, H, W] bool.
        valid_mask: [N, H, W] bool, or None where all pixels count.
        ignored: [H, W] bool, of all images; None for no such pixels.

    Returns:
        Both, for `evaluate_maps`.
    """
    if ignored is None:
        return masks, valid_mask
    counted = np.broadcast_to(~ignored, masks.shape)
    return masks & counted, counted if valid_mask is None else valid_mask & counted


def evaluate_maps(
    maps: np.ndarray,
    scores: np.ndarray,
    masks: np.ndarray,
    labels: np.ndarray,
    valid_mask: np.ndarray | None = None,
) -> dict[str, float | None]:
    """Computes image and pixel metrics; None where the set cannot define one.

    Args:
        maps: [N, H, W] float32.
        scores: [N] float32.
        masks: [N, H, W] bool.
        labels: [N], 0 good, 1 defective, negative if unlabelled.
        valid_mask: [N, H, W] bool, the pixels that count; None where all do.
    """
    if (labels < 0).any():  # a partly labelled set has no metrics; one class makes all None
        labels = np.zeros_like(labels)
    return {**image_metrics(scores, labels), **pixel_metrics(maps, masks, valid_mask=valid_mask)}
