"""The forms of 3x3 convolutions against XLA's convolution, and where each is used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rdvar_jax.models.convolution import conv_3x3

# (images, height, width, channels in, channels out, stride): maps on both sides of each limit.
SHAPES = [
    (1, 1, 1, 5, 3, 1),
    (2, 2, 2, 3, 5, 1),
    (2, 4, 4, 3, 5, 1),
    (2, 4, 4, 3, 5, 2),
    (3, 5, 3, 2, 4, 2),
    (1, 2, 12, 3, 2, 1),
    (2, 8, 8, 3, 4, 1),
    (2, 8, 8, 3, 4, 2),
    (9, 10, 6, 3, 4, 1),
    (9, 16, 16, 3, 4, 2),
]


def direct(x, kernel, stride):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )


def draw(images, height, width, channels, features, stride, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, height, width, channels))
    kernel = rng.normal(size=(3, 3, channels, features))
    out = (images, -(-height // stride), -(-width // stride), features)
    return (
        jnp.asarray(x, dtype),
        jnp.asarray(kernel, dtype),
        jnp.asarray(rng.normal(size=out), dtype),
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_form_is_the_convolution(shape, dtype):
    x, kernel, dy = draw(*shape, dtype)
    stride = shape[-1]

    def of(form):
        y, backward = jax.vjp(lambda x, kernel: form(x, kernel, stride), x, kernel)
        return (y, *backward(dy))

    # Rounded inputs in float32: what bfloat16 would be without rounding in between.
    x32, kernel32, dy32 = (a.astype(jnp.float32) for a in (x, kernel, dy))
    y, backward = jax.vjp(lambda x, kernel: direct(x, kernel, stride), x32, kernel32)
    tolerance = {"float32": 1e-5, "bfloat16": 2e-2}[dtype]
    for found, right in zip(of(conv_3x3), (y, *backward(dy32)), strict=True):
        assert found.dtype == dtype
        assert found.shape == right.shape
        error = np.abs(np.asarray(found, np.float32) - right).max()
        assert error <= tolerance * np.abs(right).max()


@pytest.mark.parametrize(
    ("shape", "on_cpu"),
    [
        ((8, 2, 2, 64, 64, 1), 0),
        ((8, 4, 4, 64, 64, 1), 1),  # the kernel's gradient is a sum over 128 positions
        ((8, 4, 4, 64, 64, 2), 0),
        ((8, 8, 8, 64, 64, 1), 2),
        ((8, 16, 16, 64, 64, 1), 3),
        ((8, 16, 16, 64, 64, 2), 2),  # all but the gradient of the strided input
    ],
)
@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_where_convolutions_remain(shape, on_cpu, platform):
    x, kernel, dy = draw(*shape, "float32")

    def all_three(x, kernel, dy):
        y, backward = jax.vjp(lambda x, kernel: conv_3x3(x, kernel, shape[-1]), x, kernel)
        return (y, *backward(dy))

    lowered = jax.jit(all_three).trace(x, kernel, dy).lower(lowering_platforms=(platform,))
    expected = on_cpu if platform == "cpu" else 3
    assert lowered.as_text().count("stablehlo.convolution") == expected
