"""3x3 convolutions of stride 1 by Winograd's F(2x2, 3x3), for scoring on CPU in float32.

Each 2 x 2 tile of the output comes from a 4 x 4 tile of the input through 16 products instead of
36 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). The 16 are matrix
products, which CPUs compute fastest. Rounding is about four times that of the direct sum.
"""

import jax.numpy as jnp

COLLECTION = "winograd"
"""Flax collection of transformed kernels; a convolution that has one uses it."""

# With fewer tiles, reading the 16 transformed kernels takes longer than it saves.
MIN_TILES = 64
# With fewer channels, transforming the images takes longer than it saves ...
MIN_CHANNELS = 64
# ... and with fewer than these it only saves with many tiles.
MANY_CHANNELS, MANY_TILES = 256, 512


def applies(shape: tuple[int, ...], features: int, kernel_size: int, stride: int) -> bool:
    """Tells whether a convolution of images [B, H, W, C] is faster in this form."""
    batch, height, width, channels = shape
    tiles, narrowest = batch * height * width // 4, min(channels, features)
    return (
        kernel_size == 3
        and stride == 1
        and height % 2 == width % 2 == 0
        and narrowest >= MIN_CHANNELS
        and tiles >= (MIN_TILES if narrowest >= MANY_CHANNELS else MANY_TILES)
    )


def transform_kernel(kernel):
    """Computes G k Gᵀ for each pair of channels: [3, 3, C in, C out] -> [16, C in, C out]."""
    first = _kernel_rows(kernel)
    rows = [_kernel_rows(row) for row in first]
    return jnp.stack([entry for row in rows for entry in row])


def _kernel_rows(k):
    half_sum = (k[0] + k[2]) / 2
    return k[0], half_sum + k[1] / 2, half_sum - k[1] / 2, k[2]


def conv_3x3(x, transformed):
    """Convolves with padding 1: [B, H, W, C in], H and W even, to [B, H, W, C out].

    Args:
        x: images.
        transformed: [16, C in, C out], from `transform_kernel`.
    """
    batch, height, width, channels = x.shape
    tiles = (batch, height // 2, width // 2)
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # Row a of all 4 x 4 tiles is every second row, starting at a.
    rows = _input_rows([x[:, a : a + height - 1 : 2] for a in range(4)])
    entries = [
        entry
        for row in rows
        for entry in _input_rows([row[:, :, b : b + width - 1 : 2] for b in range(4)])
    ]
    products = [
        entry.reshape(-1, channels) @ kernel
        for entry, kernel in zip(entries, transformed, strict=True)
    ]
    # [4][4] products to [2][2] entries of the output's tiles.
    columns = [_output_rows(products[4 * a : 4 * a + 4]) for a in range(4)]
    corners = [_output_rows([columns[a][b] for a in range(4)]) for b in range(2)]
    y = jnp.stack([jnp.stack(corner) for corner in corners])  # [b, a, tiles, C out]
    y = y.reshape(2, 2, *tiles, -1).transpose(2, 3, 1, 4, 0, 5)
    return y.reshape(batch, height, width, -1)


def _input_rows(d):
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


def _output_rows(m):
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]
