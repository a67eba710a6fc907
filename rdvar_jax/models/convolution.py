"""3x3 convolutions in the form that is fastest for their shape, forward and both gradients.

XLA on CPU gives convolutions to Eigen, which is fast on large maps. On small ones it packs more
than it computes, maps of 1x1 and 2x2 it does not take at all (XLA's own loop then needs up to a
hundred times as long), and the input gradient of a strided convolution is one over an input with
holes. There a product of matrices is faster: each output position's 3 x 3 patch, as a row, by the
kernel (docs/performance.md has the times). Other platforms always convolve.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

# Largest sizes for which the product of patches is faster, in output positions of one image ...
MAX_POSITIONS_FORWARD = 16
MAX_POSITIONS_INPUT_GRADIENT = 64
# ... and of all images: the kernel's gradient is a sum over these.
MAX_ROWS_KERNEL_GRADIENT = 64


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_3x3(x, kernel, stride: int):
    """Convolves with padding 1: [B, H, W, C in] with [3, 3, C in, C out] and stride 1 or 2.

    Returns:
        [B, ceil(H / stride), ceil(W / stride), C out].
    """
    convolve = partial(_convolve, stride=stride)
    multiply = partial(_multiply_patches, stride=stride)
    return _on_cpu(_positions(x, stride) <= MAX_POSITIONS_FORWARD, multiply, convolve)(x, kernel)


def _forward(x, kernel, stride):
    return conv_3x3(x, kernel, stride), (x, kernel)


def _backward(stride, saved, dy):
    x, kernel = saved
    positions = _positions(x, stride)

    def input_by_convolution(x, kernel, dy):
        return jax.vjp(lambda x: _convolve(x, kernel, stride), x)[1](dy)[0]

    def input_by_product(x, kernel, dy):
        # The nine parts of a position are added before they are rounded to bfloat16.
        rows = _product(_rows(dy), kernel.reshape(-1, kernel.shape[-1]).T)
        d_patches = rows.reshape(*dy.shape[:-1], -1)
        patches = partial(patches_3x3, stride=stride)
        transposed = jax.linear_transpose(patches, x.astype(rows.dtype))
        return transposed(d_patches)[0].astype(x.dtype)

    def kernel_by_convolution(x, kernel, dy):
        return jax.vjp(lambda kernel: _convolve(x, kernel, stride), kernel)[1](dy)[0]

    def kernel_by_product(x, kernel, dy):
        rows = _product(_rows(patches_3x3(x, stride)).T, _rows(dy))
        return rows.reshape(kernel.shape).astype(kernel.dtype)

    small = stride > 1 or positions <= MAX_POSITIONS_INPUT_GRADIENT
    few = len(x) * positions <= MAX_ROWS_KERNEL_GRADIENT * stride
    return (
        _on_cpu(small, input_by_product, input_by_convolution)(x, kernel, dy),
        _on_cpu(few, kernel_by_product, kernel_by_convolution)(x, kernel, dy),
    )


conv_3x3.defvjp(_forward, _backward)


def _on_cpu(condition: bool, form, otherwise):
    """Returns a function that is `form` on CPU where the condition holds, or else `otherwise`."""
    if not condition:
        return otherwise
    return partial(_by_platform, form, otherwise)


def _by_platform(form, otherwise, *args):
    return lax.platform_dependent(*args, cpu=form, default=otherwise)


def _convolve(x, kernel, stride):
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _multiply_patches(x, kernel, stride):
    patches = patches_3x3(x, stride)
    y = _product(_rows(patches), kernel.reshape(-1, kernel.shape[-1]))
    return y.reshape(*patches.shape[:-1], -1).astype(x.dtype)


def _product(a, b):
    """Multiplies matrices; bfloat16 ones to float32, so that nothing is rounded twice."""
    dtype = jnp.float32 if a.dtype == jnp.bfloat16 else a.dtype
    return jnp.matmul(a, b, preferred_element_type=dtype)


def patches_3x3(x, stride: int):
    """Returns the 3 x 3 neighbourhoods of all output positions: [B, H out, W out, 9 C]."""
    height, width = (-(-side // stride) for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return jnp.concatenate(
        [
            x[
                :,
                a : a + (height - 1) * stride + 1 : stride,
                b : b + (width - 1) * stride + 1 : stride,
            ]
            for a in range(3)
            for b in range(3)
        ],
        axis=-1,
    )


def _rows(x):
    return x.reshape(-1, x.shape[-1])


def _positions(x, stride: int) -> int:
    """Returns the number of output positions of one image."""
    _, height, width, _ = x.shape
    return -(-height // stride) * -(-width // stride)
