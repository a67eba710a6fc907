"""Per-region overlap (PRO): the fraction of each defective region found at a threshold.

Two quantities have this name. `area_under_pro` is defined by the MVTec AD paper;
`pro_rd4ad_of_image` is what RD4AD's code prints, only for comparison with its numbers.
"""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.scoring.curves import Ranking, cut_at, false_and_height


@dataclass(frozen=True)
class Regions:
    """The R defective regions of a set of masks with P defective pixels.

    Attributes:
        region: int64 [P], the region of each defective pixel, 0 to R - 1 over the whole set, in
            the order of `maps[masks]`.
        sizes: int64 [R], pixels in each region.
    """

    region: np.ndarray
    sizes: np.ndarray


def find_regions(masks: np.ndarray) -> Regions:
    """Labels bool masks [N, H, W]. Pixels that touch at a corner are one region (8-connected)."""
    from scipy import ndimage

    eight_connected = np.ones((3, 3), dtype=bool)
    parts = [np.empty(0, dtype=np.int64)]
    num_regions = 0
    for mask in masks[masks.any(axis=(1, 2))]:
        labelled = np.zeros(mask.shape, dtype=np.int32)
        ndimage.label(mask, structure=eight_connected, output=labelled)
        parts.append(labelled[mask] - 1 + np.int64(num_regions))
        num_regions += int(labelled.max())
    region = np.concatenate(parts)
    return Regions(region=region, sizes=np.bincount(region, minlength=num_regions))


def mean_overlap(ranking: Ranking, regions: Regions) -> np.ndarray:
    """Computes the found fraction of a region, averaged over all regions, at each point.

    `ranking` is that of all pixels of the set, `regions` of the same masks. Returns float64 [K].
    """
    weight = (1.0 / regions.sizes)[regions.region]
    overlap = np.cumsum(weight[ranking.order])[ranking.last]
    # The last sum is the number of regions up to rounding; dividing by it makes full overlap
    # exactly 1, so that the area cannot exceed 1.
    return overlap / overlap[-1]


def area_under_pro(ranking: Ranking, regions: Regions, limit: float) -> float:
    """Computes MVTec AD's AUPRO: area under mean region overlap against FPR, to FPR = `limit`.

    `ranking` is that of all pixels of the set, `regions` of the same masks. The curve starts at
    (0, 0), is linear between its points and at the limit, and its area is divided by `limit`.
    """
    end = limit * ranking.num_negative
    false, height = cut_at(end, *false_and_height(ranking, mean_overlap(ranking, regions)))
    # min() removes the last bit of rounding at full overlap.
    return min(float(np.trapezoid(height, false)) / end, 1.0)


def pro_rd4ad_of_image(anomaly_map: np.ndarray, regions: np.ndarray, mask: np.ndarray) -> float:
    """Computes RD4AD's PRO of one image that has both defective and defect-free pixels.

    200 thresholds at equal steps over the map's range, in the map's dtype (numpy's `arange` may
    return 201, as in RD4AD); at each the mean region overlap and this image's FPR; rows with FPR
    below 0.3, their FPR divided by the largest of them; trapezoid rule. The curve has no starting
    point. See `metrics.pro_rd4ad` for the cases in which RD4AD's code fails.

    Args:
        anomaly_map: [H, W], or any subset of its pixels.
        regions: int64 [P], the region of each of the image's defective pixels, from 0.
        mask: bool, of the same pixels.
    """
    if anomaly_map.dtype.kind != "f":
        anomaly_map = anomaly_map.astype(np.float64)
    low, high = anomaly_map.min(), anomaly_map.max()
    step = (high - low) / 200
    if step == 0:
        return 0.0
    thresholds = np.arange(low, high, step)
    num_bins = len(thresholds) + 1
    # The number of thresholds that a pixel exceeds determines at which of them it is flagged.
    exceeded = np.searchsorted(thresholds, anomaly_map, side="left")
    false = _above(np.bincount(exceeded[~mask], minlength=num_bins))
    cells = np.bincount(
        regions * num_bins + exceeded[mask], minlength=(int(regions.max()) + 1) * num_bins
    )
    found = cells.reshape(-1, num_bins)
    overlap = np.mean(_above(found) / found.sum(axis=1, keepdims=True), axis=0)
    fpr = false / np.count_nonzero(~mask)
    kept = fpr < 0.3
    fpr, overlap = fpr[kept], overlap[kept]
    if len(fpr) == 0:
        return 0.0
    if fpr.max() == 0:
        return float(overlap.max())
    # The thresholds rise, so the FPR falls along the rows: reversed, the area is positive.
    return float(np.trapezoid(overlap[::-1], fpr[::-1] / fpr.max()))


def _above(counts: np.ndarray) -> np.ndarray:
    """Turns counts by thresholds exceeded [..., T + 1] into counts above each [..., T]."""
    return np.cumsum(counts[..., :0:-1], axis=-1)[..., ::-1]
