"""Where in an image the defects are: the regions of a map above a threshold."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Defect:
    """One region of connected pixels above the threshold.

    Attributes:
        box: the smallest rectangle around it, x0, y0, x1, y1 in pixels from the upper left corner;
            x1 and y1 are the first column and row outside, so x1 - x0 is the width.
        area: its pixels.
        score: the highest value of the map in it.
    """

    box: tuple[int, int, int, int]
    area: int
    score: float


def above_threshold(anomaly_map: np.ndarray, threshold: float, highest: float) -> np.ndarray:
    """The pixels of a map that was brought to another size, bool [H, W], above the threshold.

    A resized map can lose the tip of its highest peak. Where that leaves nothing of a map that was
    above the threshold, its highest pixel is taken, so what is defective has a place.

    Args:
        anomaly_map: float32 [H, W].
        threshold: as a float32; pixels equal to it are not above it.
        highest: of the map before it was resized.
    """
    limit = np.float32(threshold)
    above = anomaly_map > limit
    if highest > limit and not above.any():
        above = anomaly_map == anomaly_map.max()
    return above


def find_defects(above: np.ndarray, anomaly_map: np.ndarray) -> list[Defect]:
    """The regions of bool [H, W], highest score first, 8-connected as in the metrics.

    Args:
        above: true where a pixel is defective.
        anomaly_map: float32 [H, W], for the scores.
    """
    from scipy import ndimage

    labelled = np.zeros(above.shape, np.int32)
    ndimage.label(above, structure=np.ones((3, 3), bool), output=labelled)
    defects = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labelled), start=1):
        valid_mask = labelled[rows, columns] == number
        defects.append(
            Defect(
                (columns.start, rows.start, columns.stop, rows.stop),
                int(np.count_nonzero(valid_mask)),
                float(anomaly_map[rows, columns][valid_mask].max()),
            )
        )
    return sorted(defects, key=lambda defect: (-defect.score, defect.box))
