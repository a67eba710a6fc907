"""Colour scale of heat maps, one for all images that are compared.

It runs from the median of all map values (half of all pixels look as in the photograph) to their
99.9th percentile (one extreme pixel does not dim all other images), regardless of labels. Values
outside have the colour of the nearer end; the legend shows the two raw values.
"""

import numpy as np

PERCENTILES = (50, 99.9)
_DROPPED_BITS = 12  # of float32's 32: 11 of the mantissa's 23 bits remain, 0.05 % of the value


def color_scale(maps: np.ndarray) -> tuple[float, float]:
    """Returns the ends of the scale of raw maps [any shape]: median and 99.9th percentile."""
    low, high = np.percentile(maps, PERCENTILES)
    return float(low), float(high)


class RunningScale:
    """`color_scale` of maps that are never all in memory, from counts, to 0.05 % of each value.

    The bits of nonnegative floats, read as integers, have the floats' order. So their upper bits
    number bins of constant width relative to the value.
    """

    def __init__(self):
        self._counts = np.zeros(1 << (31 - _DROPPED_BITS), np.int64)  # 4 MiB

    def add(self, maps: np.ndarray) -> None:
        """Counts map values, float32 [any shape]; values rounded below 0 count as 0."""
        # 0 + x turns -0.0, whose sign bit is set, into 0.0.
        bits = (np.float32(0) + np.maximum(maps, np.float32(0))).view(np.uint32)
        self._counts += np.bincount(bits.ravel() >> _DROPPED_BITS, minlength=len(self._counts))

    def scale(self) -> tuple[float, float]:
        """Returns the ends of the scale of all added values."""
        total = np.cumsum(self._counts)
        ranks = np.array(PERCENTILES) / 100 * (total[-1] - 1) + 1
        bins = np.searchsorted(total, ranks).astype(np.uint32)
        middle = (bins << _DROPPED_BITS) + (1 << (_DROPPED_BITS - 1))
        low, high = middle.astype(np.uint32).view(np.float32)
        return float(low), float(high)
