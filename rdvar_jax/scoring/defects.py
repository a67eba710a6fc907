"""Defects in an image: the regions of a map above a threshold."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Defect:
    """One region of connected pixels above the threshold.

    Attributes:
        box: its bounding box, x0, y0, x1, y1 in pixels from the upper left corner; x1 and y1 are
            exclusive, so x1 - x0 is the width.
        area: in pixels.
        score: the maximum of the map in it.
    """

    box: tuple[int, int, int, int]
    area: int
    score: float


def above_threshold(
    anomaly_map: np.ndarray, threshold: float, highest: float, min_area: int = 0
) -> np.ndarray:
    """Returns the pixels of a resized map above the threshold, bool [H, W].

    Resizing can flatten the map's highest peak. If no pixel is left of a map that was above the
    threshold, its highest pixel is taken, so that what was above has a location.

    Args:
        anomaly_map: float32 [H, W]; -inf where pixels do not count.
        threshold: as a float32; pixels equal to it are not above it.
        highest: maximum of the map before resizing.
        min_area: regions of fewer pixels are left out.
    """
    limit = np.float32(threshold)
    above = anomaly_map > limit
    if highest > limit and not above.any():
        above = (anomaly_map == anomaly_map.max()) & np.isfinite(anomaly_map)
    return without_small(above, min_area) if min_area > 1 else above


def without_small(above: np.ndarray, min_area: int) -> np.ndarray:
    """Returns bool [H, W] without the regions of fewer than `min_area` pixels."""
    labelled = _labelled(above)
    areas = np.bincount(labelled.ravel())
    areas[0] = 0  # what is in no region
    return (areas >= min_area)[labelled]


def find_defects(above: np.ndarray, anomaly_map: np.ndarray) -> list[Defect]:
    """Finds the regions of bool [H, W], highest score first, 8-connected as in the metrics.

    Args:
        above: true where a pixel is defective.
        anomaly_map: float32 [H, W], for the scores.
    """
    from scipy import ndimage

    # Only where something is marked: most of an image is not.
    marked_rows, marked_columns = np.flatnonzero(above.any(1)), np.flatnonzero(above.any(0))
    if not len(marked_rows):
        return []
    top, left = int(marked_rows[0]), int(marked_columns[0])
    box = slice(top, marked_rows[-1] + 1), slice(left, marked_columns[-1] + 1)
    labelled, seen = _labelled(above[box]), anomaly_map[box]
    defects = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labelled), start=1):
        inside = labelled[rows, columns] == number
        defects.append(
            Defect(
                (left + columns.start, top + rows.start, left + columns.stop, top + rows.stop),
                int(np.count_nonzero(inside)),
                float(seen[rows, columns][inside].max()),
            )
        )
    return sorted(defects, key=lambda defect: (-defect.score, defect.box))


def _labelled(above: np.ndarray) -> np.ndarray:
    """Returns the number of each pixel's region, int32 [H, W]; 0 where there is none."""
    from scipy import ndimage

    labelled = np.zeros(above.shape, np.int32)
    ndimage.label(above, structure=np.ones((3, 3), bool), output=labelled)
    return labelled


def needs_pixel_threshold(min_area: int) -> str:
    """Returns the sentence about `score.min_area` without a threshold of pixels."""
    return (
        f"score.min_area={min_area} needs a threshold of pixels; run rdvar threshold, or set "
        "score.min_area=0."
    )
