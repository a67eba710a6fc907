"""Detection and localisation metrics in numpy, exact: no binning, clamping or rounding.

Scores may be any finite numbers, negative ones included; higher means more anomalous. Equal
scores share one threshold. Strictly increasing rescaling of the scores changes no metric (except
`pro_rd4ad`, which spaces its thresholds over the range of the map). Counts are int64, sums
float64.

A metric is None, never nan, when the set cannot define it: every metric needs at least one
defective and one defect-free item.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rdvar_jax.scoring import curves, regions


def image_metrics(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float | None]:
    """Computes all image metrics from one sort.

    Args:
        scores: [N], one per image (RD4AD, RDVar: the maximum of its map).
        labels: [N], bool or 0/1, true for a defective image.

    Returns:
        `image_auroc`, `image_ap`, `image_f1_max`, each in 0..1, or all None if the images are all
        good or all defective.

    Raises:
        ValueError: shapes differ, a score is nan or infinite, or a label is not 0 or 1.
    """
    scores, labels = _checked(scores, labels)
    metrics: dict[str, float | None] = dict.fromkeys(("image_auroc", "image_ap", "image_f1_max"))
    if not has_both_classes(labels):
        return metrics
    ranking = curves.rank(scores.ravel(), labels.ravel())
    metrics["image_auroc"] = curves.area_under_roc(ranking)
    metrics["image_ap"] = curves.average_precision_of(ranking)
    metrics["image_f1_max"] = curves.best_f1(ranking)
    return metrics


def pixel_metrics(
    maps: npt.ArrayLike,
    masks: npt.ArrayLike,
    limit: float = 0.3,
    valid_mask: npt.ArrayLike | None = None,
) -> dict[str, float | None]:
    """Computes all pixel metrics of a set from one sort of its pixels.

    Memory beyond the arguments: less than three copies of the maps if few pixels are defective,
    about six if many are.

    Args:
        maps: [N, H, W], usually float32; the raw anomaly maps of all test images.
        masks: [N, H, W], bool or 0/1, true for a defective pixel.
        limit: the FPR at which AUPRO ends.
        valid_mask: [N, H, W], bool; all other pixels are ignored and must not be defective. None
            if all count.

    Returns:
        `pixel_auroc`, `pixel_ap`, `pixel_f1_max`, `aupro` and `pro_rd4ad_per_image`, each in
        0..1, or None if the masks are all false or all true; for the last one see also
        `pro_rd4ad`.

    Raises:
        ValueError: shapes differ or are not [N, H, W], a map holds nan or infinity, a mask holds
            values other than 0 and 1 or is true outside `valid_mask`, or the limit is not in
            (0, 1].
    """
    maps, masks = _checked_maps(maps, masks)
    _check_limit(limit)
    valid_mask = None if valid_mask is None else _checked_valid_mask(valid_mask, masks)
    metrics: dict[str, float | None] = dict.fromkeys(
        ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "pro_rd4ad_per_image")
    )
    counted = masks if valid_mask is None else masks[valid_mask]
    if not has_both_classes(counted):
        return metrics
    ranking = curves.rank(
        (maps if valid_mask is None else maps[valid_mask]).ravel(), counted.ravel()
    )
    found = regions.find_regions(masks)
    metrics["pixel_auroc"] = curves.area_under_roc(ranking)
    metrics["pixel_ap"] = curves.average_precision_of(ranking)
    metrics["pixel_f1_max"] = curves.best_f1(ranking)
    metrics["aupro"] = regions.area_under_pro(ranking, found, limit)
    metrics["pro_rd4ad_per_image"] = _mean_pro_rd4ad(maps, masks, found, valid_mask)
    return metrics


def auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Computes the area under the ROC curve.

    It is the probability that a defective item scores higher than a good one, ties counting half.

    Args:
        scores: any shape; images or pixels.
        labels: the same shape, bool or 0/1.

    Returns:
        The area in 0..1, or None if only one class is present.

    Raises:
        ValueError: shapes differ, a score is nan or infinite, or a label is not 0 or 1.

    Example:
        >>> auroc([0.1, 0.4, 0.3, 0.9], [0, 0, 1, 1])
        0.75
    """
    return _of_ranking(curves.area_under_roc, scores, labels)


def average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Computes average precision: Σ (gain in recall) · precision over all thresholds.

    It is not interpolated. Arguments, None and errors as in `auroc`.

    Example:
        >>> round(average_precision([0.1, 0.4, 0.3, 0.9], [0, 0, 1, 1]), 3)
        0.833
    """
    return _of_ranking(curves.average_precision_of, scores, labels)


def f1_max(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Computes the best F1 score of any threshold, an upper bound chosen with the labels.

    Arguments, None and errors as in `auroc`.

    Example:
        >>> f1_max([0.1, 0.4, 0.3, 0.9], [0, 0, 1, 1])
        0.8
    """
    return _of_ranking(curves.best_f1, scores, labels)


def aupro(maps: npt.ArrayLike, masks: npt.ArrayLike, limit: float = 0.3) -> float | None:
    """Computes the area under the per-region-overlap curve, as the MVTec AD paper defines it.

    Regions are the 8-connected components of the masks. At each threshold the found fraction of a
    region is averaged over all regions of the set and plotted against the false-positive rate over
    all defect-free pixels of the set (good images included). The area up to FPR = `limit`, by
    trapezoids from (0, 0) with linear interpolation at the limit, is divided by `limit`.

    Args:
        maps: [N, H, W].
        masks: [N, H, W], bool or 0/1.
        limit: in (0, 1].

    Returns:
        The area in 0..1, or None without a defective region or without a defect-free pixel.

    Raises:
        ValueError: shapes differ or are not [N, H, W], a map holds nan or infinity, a mask holds
            values other than 0 and 1, or the limit is not in (0, 1].

    Example:
        >>> masks = np.zeros((1, 8, 8), bool)
        >>> masks[0, 2:5, 2:5] = True
        >>> aupro(masks * 0.9, masks), aupro(1.0 - masks, masks)
        (1.0, 0.0)

    Source: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021.
    """
    maps, masks = _checked_maps(maps, masks)
    _check_limit(limit)
    if not has_both_classes(masks):
        return None
    ranking = curves.rank(maps.ravel(), masks.ravel())
    return regions.area_under_pro(ranking, regions.find_regions(masks), limit)


def pro_rd4ad(maps: npt.ArrayLike, masks: npt.ArrayLike) -> float | None:
    """Computes PRO as RD4AD's code prints it; not the same as `aupro`, and usually higher.

    Each image with a defective pixel is evaluated alone: about 200 thresholds over the range of
    its map, its false-positive rate, rows with FPR < 0.3, FPR divided by the largest of them,
    trapezoid rule; then the mean over these images. Good images are ignored. Compare it only with
    numbers from RD4AD's code.

    Cases in which that code fails or returns nan:
        - the map is constant, or no threshold has an FPR under 0.3: the image counts as 0;
        - one row is left: its curve has no width, the image counts as 0;
        - all rows left have FPR 0: the image counts as its best overlap among them;
        - the image has no defect-free pixel, so no FPR: it is left out.

    Args:
        maps: [N, H, W]. The thresholds are computed in their dtype; RD4AD's maps are float64.
        masks: [N, H, W], bool or 0/1.

    Returns:
        The mean in 0..1, or None if no image has both defective and defect-free pixels.

    Raises:
        ValueError: see `pixel_metrics`.

    Source: Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding",
    CVPR 2022, the public evaluation code.
    """
    maps, masks = _checked_maps(maps, masks)
    return _mean_pro_rd4ad(maps, masks, regions.find_regions(masks))


def has_both_classes(labels: npt.ArrayLike) -> bool:
    """Tells whether labels or masks, bool or 0/1, have both classes; else metrics are None."""
    labels = np.asarray(labels)
    return bool(labels.any() and not labels.all())


def _of_ranking(
    metric: Callable[[curves.Ranking], float], scores: npt.ArrayLike, labels: npt.ArrayLike
) -> float | None:
    scores, labels = _checked(scores, labels)
    if not has_both_classes(labels):
        return None
    return metric(curves.rank(scores.ravel(), labels.ravel()))


def _mean_pro_rd4ad(
    maps: np.ndarray,
    masks: np.ndarray,
    found: regions.Regions,
    valid_mask: np.ndarray | None = None,
) -> float | None:
    num_defective = np.count_nonzero(masks, axis=(1, 2))
    num_pixels = masks[:1].size if valid_mask is None else np.count_nonzero(valid_mask, axis=(1, 2))
    ends = np.cumsum(num_defective)
    values = []
    for i in np.flatnonzero((num_defective > 0) & (num_defective < num_pixels)):
        region = found.region[ends[i] - num_defective[i] : ends[i]]
        seen = ... if valid_mask is None else valid_mask[i]
        values.append(
            regions.pro_rd4ad_of_image(maps[i][seen], region - region.min(), masks[i][seen])
        )
    return float(np.mean(values)) if values else None


def _checked_valid_mask(valid_mask: npt.ArrayLike, masks: np.ndarray) -> np.ndarray:
    valid_mask = np.asarray(valid_mask)
    if valid_mask.dtype != bool or valid_mask.shape != masks.shape:
        raise ValueError(f"valid_mask must be bool {list(masks.shape)}, like the masks")
    if (masks & ~valid_mask).any():
        raise ValueError("masks must be false wherever valid_mask is")
    return valid_mask


def _checked_maps(maps: npt.ArrayLike, masks: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = _checked(maps, masks)
    if maps.ndim != 3:
        raise ValueError(f"maps and masks must be [N, H, W], not {list(maps.shape)}")
    return maps, masks


def _checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Returns arrays of one shape: finite scores in their own dtype, and bool labels."""
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.shape != labels.shape:
        raise ValueError(
            f"scores {list(scores.shape)} and labels {list(labels.shape)} must have the same shape"
        )
    if scores.dtype.kind not in "fiu":
        raise ValueError(f"scores must be real numbers, not {scores.dtype}")
    finite = np.isfinite(scores)
    if not finite.all():
        count = scores.size - np.count_nonzero(finite)
        raise ValueError(f"{count} of {scores.size} scores are nan or infinite")
    if labels.dtype != bool:
        if not ((labels == 0) | (labels == 1)).all():
            raise ValueError("labels and masks must be bool or 0/1 (0/255 masks: use mask > 127)")
        labels = labels.astype(bool)
    return scores, labels


def _check_limit(limit: float) -> None:
    if not 0 < limit <= 1:
        raise ValueError(f"the limit of the false-positive rate must be in (0, 1], not {limit}")
