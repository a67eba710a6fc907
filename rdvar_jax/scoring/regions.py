"""Per-region overlap (PRO): how much of each defective region a threshold finds.

Two different quantities go by this name. `area_under_pro` is the one defined by the MVTec AD
paper; `pro_rd4ad_of_image` is what RD4AD's code prints, for comparison with that column only.
"""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.scoring.curves import Ranking, cut_at, false_and_height


@dataclass(frozen=True)
class Regions:
    """The R defective regions of a set of masks with P defective pixels.

    Attributes:
        region: int64 [P], the region of each defective pixel, 0 to R - 1 through the whole set,
            in the order of `maps[masks]`.
        sizes: int64 [R], pixels in each region.
    """

    region: np.ndarray
    sizes: np.ndarray


def find_regions(masks: np.ndarray) -> Regions:
    """Label bool masks [N, H, W]. Pixels that touch at a corner are one region (8-connected)."""
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
    """The share of a region that is found, mean over all regions, at each point: float64 [K].

    `ranking` is that of all pixels of the set, `regions` of the same masks.
    """
    weight = (1.0 / regions.sizes)[regions.region]
    overlap = np.cumsum(weight[ranking.order])[ranking.last]
    # The last sum is the number of regions up to rounding. Dividing by the sum itself makes
    # full overlap exactly 1, so that the area cannot exceed 1.
    return overlap / overlap[-1]


def area_under_pro(ranking: Ranking, regions: Regions, limit: float) -> float:
    """MVTec AD's AUPRO: the curve of mean region overlap against FPR, up to FPR = `limit`.

    `ranking` is that of all pixels of the set, `regions` of the same masks. The curve starts at
    (0, 0), is linear between its points and at the limit, and its area is divided by `limit`.
    """
    end = limit * ranking.num_negative
    false, height = cut_at(end, *false_and_height(ranking, mean_overlap(ranking, regions)))
    # min() takes off a last bit of rounding at full overlap, nothing more.
    return min(float(np.trapezoid(height, false)) / end, 1.0)


def pro_rd4ad_of_image(anomaly_map: np.ndarray, regions: np.ndarray, mask: np.ndarray) -> float:
    """RD4AD's PRO of one image that has both defective and defect-free pixels.

    200 thresholds at equal steps over the map's own range, in the map's own dtype (numpy's
    `arange` may give 201, as it does in RD4AD); at each the mean region overlap and this image's
    own FPR; rows with FPR below 0.3, their FPR divided by the largest of them; trapezoid rule.
    The curve gets no starting point. Where RD4AD's code fails: see `metrics.pro_rd4ad`.

    Args:
        anomaly_map: [H, W], or any part of its pixels.
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
    # The number of thresholds that a pixel exceeds says at which of them it is flagged.
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
    """From pixels by number of thresholds exceeded [..., T + 1] to pixels above each [..., T]."""
    return np.cumsum(counts[..., :0:-1], axis=-1)[..., ::-1]
