"""Verdict of one image and its regions: the same for files, bundles and the server."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import ConfigError
from rdvar_jax.report.prediction_files import DEFECTIVE, GOOD, exact
from rdvar_jax.scoring.defects import Defect, above_threshold, find_defects

MAX_REGIONS = 100  # listed, highest first; all are counted, and all are in the mask


@dataclass(frozen=True)
class Thresholds:
    """What decides about images and pixels: raw values; None means no verdict, or no regions.

    Attributes:
        image: an image is defective if its score is above it.
        pixel: a pixel is defective if the map, at the image's size, is above it.
        ignore: pixels of every image that are in no region; None if there are none.
        min_area: pixels of a region, at the image's size; smaller ones do not count, and an image
            without any other is good. 0 takes the image's score alone.
    """

    image: float | None = None
    pixel: float | None = None
    ignore: IgnoreMask | None = None
    min_area: int = 0

    def check(self) -> None:
        """Raises a ConfigError for a value that is not finite."""
        for flag, value in (("threshold", self.image), ("pixel_threshold", self.pixel)):
            if value is not None and not math.isfinite(value):
                raise ConfigError(f"--{flag} {value} must be a finite number.")

    def may_have_regions(self, anomaly_map: np.ndarray) -> bool:
        """Whether a map [H, W] has values above the pixels' threshold, before it is resized.

        Resizing gives means of the map's values, so it makes none that is higher.
        """
        return self.pixel is not None and bool(anomaly_map.max() > np.float32(self.pixel))


NO_THRESHOLDS = Thresholds()


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is said about one image.

    Attributes:
        verdict: GOOD or DEFECTIVE; None without a threshold.
        above: bool [height, width] at the image's own size, true in the regions; None if regions
            were not looked for, or nothing can be in one.
        num_regions: number of all regions; None without a threshold of pixels.
        regions: `box` [x0, y0, x1, y1], `area` and `score` of the highest ones.
    """

    verdict: str | None
    above: np.ndarray | None = None
    num_regions: int | None = None
    regions: list[dict[str, Any]] | None = None


def judge(
    anomaly_map: np.ndarray, full: np.ndarray | None, score: float, thresholds: Thresholds
) -> Judgement:
    """Finds the regions of an image, and decides about it.

    Args:
        anomaly_map: float32 [H, W], raw.
        full: the map at the image's own size, of `map_on_image`. May be None where
          `may_have_regions` is false.
        score: of the map, a float32 value.
        thresholds: what decides.
    """
    above, defects = None, None
    if thresholds.pixel is not None:
        defects = list[Defect]()
        if full is not None:
            highest = float(anomaly_map.max())
            above = above_threshold(full, thresholds.pixel, highest, thresholds.min_area)
            defects = find_defects(above, full)
    verdict = None
    if thresholds.image is not None:
        # Not `score > threshold`: whatever is not a number must never be called good.
        verdict = GOOD if score <= np.float32(thresholds.image) else DEFECTIVE
        if thresholds.min_area > 0 and defects == [] and np.isfinite(score):
            verdict = GOOD
    if defects is None:
        return Judgement(verdict)
    regions = [
        {"box": d.box, "area": d.area, "score": float(exact(d.score))}
        for d in defects[:MAX_REGIONS]
    ]
    return Judgement(verdict, above, len(defects), regions)
