"""Image scores from anomaly maps: the maximum, or the mean of the highest values."""

from typing import TypeAlias

import numpy as np

# "max", or the share of a map's pixels whose mean is the score, in (0, 1].
Pooling: TypeAlias = str | float

MAX = "max"


def is_pooling(value: object) -> bool:
    """Tells whether a value is a `Pooling`."""
    if isinstance(value, str):
        return value == MAX
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def count_pooled(pooling: float, num_pixels: int) -> int:
    """Returns how many of this many pixels are averaged, at least 1."""
    return max(1, round(pooling * num_pixels))


def describe_pooling(pooling: Pooling) -> str:
    """Returns a score's definition, as the end of a sentence."""
    if pooling == MAX:
        return "largest value of the map"
    return f"mean of the highest values of the map, {pooling:g} of its pixels"


def pack_pixels(pixels: np.ndarray | None) -> bytes | None:
    """Returns bool [H, W] as bits, which can be hashed; None stays None."""
    return None if pixels is None else np.packbits(pixels).tobytes()


def unpack_pixels(bits: bytes | None, shape: tuple[int, int]) -> np.ndarray | None:
    """Returns the bool [H, W] of `pack_pixels`."""
    if bits is None:
        return None
    found = np.unpackbits(np.frombuffer(bits, np.uint8), count=shape[0] * shape[1])
    return found.reshape(shape).astype(bool)


def pooled_on_host(
    maps: np.ndarray, pooling: Pooling = MAX, ignored: np.ndarray | None = None
) -> np.ndarray:
    """Same as `pooled` of `device_pooling.py` in numpy, one map at a time."""
    scores = np.empty(len(maps), np.float32)
    for index, one in enumerate(maps):
        values = one.ravel() if ignored is None else one[~ignored]
        if pooling == MAX:
            scores[index] = values.max()
            continue
        k = count_pooled(float(pooling), values.size)
        highest = np.partition(values, values.size - k)[values.size - k :]
        scores[index] = highest.mean(dtype=np.float64)
    return scores


def num_counted(ignored: np.ndarray | None, num_pixels: int) -> int:
    """Returns how many of a map's pixels count."""
    return num_pixels if ignored is None else int(np.count_nonzero(~ignored))
