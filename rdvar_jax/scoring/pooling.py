"""Image scores from anomaly maps: the maximum, or the mean of the highest values.

The k highest values are those at or above the k-th highest, which is found by bisection. On CPU
that takes as long for every k, while `lax.top_k` grows with k and sorting takes 25 times longer.
"""

from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import lax

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


def pooled(maps, pooling: Pooling = MAX, ignored: np.ndarray | None = None):
    """Computes scores of maps in JAX.

    Args:
        maps: float32 [B, H, W]; NaN in a map makes its score NaN.
        pooling: "max", or a share.
        ignored: bool [H, W], the pixels that do not count, not all of them; None if all do.

    Returns:
        float32 [B].
    """
    if ignored is not None:
        maps = jnp.where(ignored, -jnp.inf, maps)
    if pooling == MAX:
        return maps.max(axis=(1, 2))
    count, height, width = maps.shape  # of a bundle, any count
    values = maps.reshape(count, height * width)
    k = count_pooled(float(pooling), num_counted(ignored, height * width))
    least = _kth_highest(values, k)
    above = values > least[:, None]
    total = jnp.where(above, values, 0).sum(axis=1)
    mean = (total + (k - above.sum(axis=1)).astype(least.dtype) * least) / k
    return jnp.where(jnp.isnan(values).any(axis=1), jnp.nan, mean)


def pooled_on_host(
    maps: np.ndarray, pooling: Pooling = MAX, ignored: np.ndarray | None = None
) -> np.ndarray:
    """Same as `pooled` in numpy, one map at a time."""
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


def _kth_highest(values, k: int):
    """Returns the k-th highest of each row of float32 [B, N]; exact, by bisection of the bits."""
    bits = lax.bitcast_convert_type(values, jnp.int32)
    keys = _ordered(bits)

    def halve(_, bounds):
        low, high = bounds
        middle = (low | high) - ((low ^ high) >> 1)  # rounded up, without overflow
        enough = (keys >= middle[:, None]).sum(axis=1) >= k
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle - 1)

    low, _ = lax.fori_loop(0, 32, halve, (keys.min(axis=1), keys.max(axis=1)))
    return lax.bitcast_convert_type(_ordered(low), jnp.float32)


def _ordered(bits):
    """Maps the bits of floats to integers of the same order, and back."""
    return jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
