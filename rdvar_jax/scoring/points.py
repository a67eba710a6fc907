"""Curves reduced to a few hundred points each, for plotting."""

import numpy as np

from rdvar_jax.scoring import curves, regions
from rdvar_jax.scoring.metrics import has_both_classes

NUM_POINTS = 300
PRO_LIMIT = 0.3

Points = list[list[float]]


def curve_points(
    maps: np.ndarray,
    scores: np.ndarray,
    masks: np.ndarray,
    labels: np.ndarray,
    valid_mask: np.ndarray | None = None,
) -> dict[str, Points | None]:
    """Returns points [x, y] of the ROC curves of images and pixels, and of the PRO curve.

    x is the false-positive rate. y is the fraction found: of the defective images or pixels, or for
    `pro` of a defective region, averaged over all regions; that curve ends at x = `PRO_LIMIT`, as
    AUPRO does. Each point is on the exact curve, and neighbours are at most the curve's length over
    `NUM_POINTS` apart, unless the curve is straight between them.

    Args:
        maps: [N, H, W] float32.
        scores: [N] float32.
        masks: [N, H, W] bool.
        labels: [N], 0 good, 1 defective, negative if unlabelled.
        valid_mask: [N, H, W] bool, the pixels that count, as in `metrics.pixel_metrics`; None if
            all do.

    Returns:
        `image_roc`, `pixel_roc` and `pro`; None where the set cannot define one.
    """
    points: dict[str, Points | None] = dict.fromkeys(("image_roc", "pixel_roc", "pro"))
    if (labels < 0).any():
        labels = np.zeros_like(labels)
    if has_both_classes(labels):
        points["image_roc"] = _roc(curves.rank(scores, labels == 1))
    counted = masks.ravel() if valid_mask is None else masks[valid_mask]
    if has_both_classes(counted):
        ranking = curves.rank(maps.ravel() if valid_mask is None else maps[valid_mask], counted)
        points["pixel_roc"] = _roc(ranking)
        overlap = regions.mean_overlap(ranking, regions.find_regions(masks))
        points["pro"] = _points(ranking, overlap, PRO_LIMIT)
    return points


def _roc(ranking: curves.Ranking) -> Points:
    return _points(ranking, ranking.found / ranking.num_positive, limit=1.0)


def _points(ranking: curves.Ranking, height: np.ndarray, limit: float) -> Points:
    end = limit * ranking.num_negative
    false, height = curves.cut_at(end, *curves.false_and_height(ranking, height))
    x, y = false / ranking.num_negative, height
    # Neither decreases, so their sum measures the length along the curve.
    length = x / limit + y
    new = np.append(True, np.diff(length) > 0)
    x, y, length = x[new], y[new], length[new]
    steps = np.linspace(0, length[-1], NUM_POINTS + 1)
    first = np.minimum(np.searchsorted(length, steps), len(length) - 1)
    # Also the corner before each, so that long straight parts keep their start.
    kept = np.unique(np.concatenate([[0], first, np.maximum(first - 1, 0)]))
    return [[round(float(a), 6), round(float(b), 6)] for a, b in zip(x[kept], y[kept], strict=True)]
