"""Image scores of maps in JAX.

The k highest values are those at or above the k-th highest, which is found by bisection. On CPU
that takes as long for every k, while `lax.top_k` grows with k and sorting takes 25 times longer.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from rdvar_jax.scoring.pooling import MAX, Pooling, count_pooled, num_counted


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
