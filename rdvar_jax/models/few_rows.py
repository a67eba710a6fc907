"""Matrix products of few rows by a large kernel, for scoring on CPU in float32.

Deep layers of small images have a few dozen output positions and millions of weights. Such a
product takes as long as its kernel needs to be read, and the libraries that XLA calls first copy
a kernel [K, C out] into blocks. Transposed and on the left of the product it is read as it is.
"""

import jax.numpy as jnp
from jax import lax

COLLECTION = "few_rows"
"""Flax collection of transposed kernels; a layer that has one uses it."""

# With more rows the arithmetic counts and not the reading (docs/performance.md): up to ROWS for
# kernels of MIN_CHANNELS = C in x C out, up to MANY_ROWS for very large ones.
ROWS, MIN_CHANNELS = 64, 128 * 256
MANY_ROWS, MANY_CHANNELS = 128, 512 * 512


def applies(rows: int, channels: int, features: int) -> bool:
    """Tells whether a product is faster in this form: of that many rows, with C in and C out."""
    size = channels * features
    return (rows <= ROWS and size >= MIN_CHANNELS) or (rows <= MANY_ROWS and size >= MANY_CHANNELS)


def transpose_kernel(kernel):
    """Returns a kernel [..., C in, C out] as [C out, K], with K of all other axes."""
    return kernel.reshape(-1, kernel.shape[-1]).T


def multiply(x, transposed):
    """Multiplies [..., K] by a kernel [C out, K] to [..., C out]."""
    rows = x.reshape(-1, x.shape[-1])
    y = lax.dot_general(transposed, rows, (((1,), (1,)), ((), ())))
    return jnp.swapaxes(y, 0, 1).reshape(*x.shape[:-1], -1)
