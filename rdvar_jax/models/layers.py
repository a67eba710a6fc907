"""The four layers of the networks, with torch's arithmetic.

Letters in shapes: B batch, H and W height and width, C channels. All images are [B, H, W, C].
Parameters are float32. Output dtype equals input dtype, float32 or bfloat16: convolutions compute
in that dtype, batch normalisation in float32.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdvar_jax.models import few_rows, winograd
from rdvar_jax.models.convolution import conv_3x3, patches_3x3

# Modules only declare names and shapes; initialise.py draws the random values.
zeros, ones = nn.initializers.zeros, nn.initializers.ones

# Of every batch normalisation; torch's default.
EPSILON = 1e-5


class Conv(nn.Module):
    """Convolution without bias, with torch's symmetric padding (kernel - 1) / 2.

    Attributes:
        features: channels out.
        kernel_size: side of the odd, square kernel.
        stride: 1 or 2. `padding="SAME"` differs from torch at even sizes, so padding is explicit.

    The kernel is [kernel_size, kernel_size, C in, C out]. With variables from
    `with_prepared_kernels` that hold another form of it instead, the convolution uses that.
    """

    features: int
    kernel_size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        if self.has_variable(winograd.COLLECTION, "kernel"):
            return winograd.conv_3x3(x, self.get_variable(winograd.COLLECTION, "kernel"))
        k, pad = self.kernel_size, (self.kernel_size - 1) // 2
        if self.has_variable(few_rows.COLLECTION, "kernel"):
            rows = patches_3x3(x, self.stride) if k == 3 else x[:, :: self.stride, :: self.stride]
            return few_rows.multiply(rows, self.get_variable(few_rows.COLLECTION, "kernel"))
        kernel = self.param("kernel", zeros, (k, k, x.shape[-1], self.features)).astype(x.dtype)
        if _is_asked_for(self, winograd.COLLECTION) and winograd.applies(
            x.shape, self.features, k, self.stride
        ):
            transformed = winograd.transform_kernel(kernel)
            self.put_variable(winograd.COLLECTION, "kernel", transformed)
        elif k <= 3:
            _offer_transposed(self, kernel, x, self.stride)
        if k == 1:
            return _matmul(x[:, :: self.stride, :: self.stride], kernel[0, 0])
        if k == 3:
            return conv_3x3(x, kernel, self.stride)
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, self.stride),
            padding=((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )


class Deconv(nn.Module):
    """torch's ConvTranspose2d with kernel 2, stride 2, no padding and no bias: [B, 2H, 2W, C out].

    The windows do not overlap, so this is one matrix product to 4C and a depth-to-space. XLA's
    transposed convolution computes the same, but its weight gradient is many times slower on CPU.
    The kernel is [2, 2, C in, C out]: entry (a, b) makes the pixel (2h + a, 2w + b).
    """

    features: int

    @nn.compact
    def __call__(self, x):
        batch, height, width, channels = x.shape
        if self.has_variable(few_rows.COLLECTION, "kernel"):
            y = few_rows.multiply(x, self.get_variable(few_rows.COLLECTION, "kernel"))
        else:
            kernel = self.param("kernel", zeros, (2, 2, channels, self.features)).astype(x.dtype)
            # [C in, 4 C out]: entry (a, b) of the window is outermost.
            matrix = kernel.transpose(2, 0, 1, 3).reshape(channels, -1)
            _offer_transposed(self, matrix, x)
            y = _matmul(x, matrix)
        y = y.reshape(batch, height, width, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(batch, 2 * height, 2 * width, self.features)


class BatchNorm(nn.Module):
    """Batch normalisation as in torch's BatchNorm2d, over the global batch.

    In training the statistics are those of the batch across all devices of `axis_name`, in
    float32 and two passes (E[x²] - E[x]² loses all precision where the mean is large). The running
    variance is updated with the unbiased estimate and momentum 0.1, as in torch;
    `flax.linen.BatchNorm` uses the biased one.

    With variables from `fold_batch_norm` it only adds a bias.
    """

    axis_name: str | None = None
    momentum: float = 0.1

    @nn.compact
    def __call__(self, x, train: bool):
        channels = x.shape[-1]
        if self.has_variable("params", "bias") and not self.has_variable("params", "scale"):
            assert not train, "folded variables have no statistics to train with"
            bias = self.param("bias", zeros, (channels,))
            return (_at_least_float32(x) + _channels_last(bias)).astype(x.dtype)
        scale = self.param("scale", ones, (channels,))
        bias = self.param("bias", zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))

        if not train:
            mean, var = running_mean.value, running_var.value
            return _normalised(x, mean, var, scale, bias)

        # Initialisation runs outside any mapped axis.
        axis_name = None if self.is_initializing() else self.axis_name
        outputs: Any = _normalise_batch(x, scale, bias, axis_name)  # typed as object by custom_vjp
        y, mean, var = outputs
        if not self.is_initializing():
            count = x.size // channels * (lax.axis_size(axis_name) if axis_name else 1)
            unbiased = var * (count / max(count - 1, 1))
            old, new = 1 - self.momentum, self.momentum
            running_mean.value = old * running_mean.value + new * mean
            running_var.value = old * running_var.value + new * unbiased
        return y


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalise_batch(x, scale, bias, axis_name: str | None):
    """Returns x normalised with the statistics of all devices, their mean and variance.

    The gradient is custom because JAX's own keeps x - mean beside x and reads both more often than
    needed. The returned mean and variance are for the running statistics: no gradient flows
    through them.
    """
    values = _at_least_float32(x)
    mean = _global_mean(values, axis_name)
    var = _global_mean(jnp.square(values - _channels_last(mean)), axis_name)
    return _normalised(x, mean, var, scale, bias), mean, var


def _normalised(x, mean, var, scale, bias):
    factor = scale * lax.rsqrt(var + EPSILON)
    y = (_at_least_float32(x) - _channels_last(mean)) * _channels_last(factor)
    return (y + _channels_last(bias)).astype(x.dtype)


def _normalise_batch_fwd(x, scale, bias, axis_name):
    outputs: Any = _normalise_batch(x, scale, bias, axis_name)
    _, mean, var = outputs
    return outputs, (x, scale, mean, var)


def _normalise_batch_bwd(axis_name, saved, cotangents):
    x, scale, mean, var = saved
    dy = _at_least_float32(cotangents[0])
    inverse = lax.rsqrt(var + EPSILON)
    normalised = (_at_least_float32(x) - _channels_last(mean)) * _channels_last(inverse)
    count = x.size // x.shape[-1]
    dbias, dscale = _sum_positions(dy), _sum_positions(dy * normalised)
    # The statistics depend on every device's images, so these means are over the global batch.
    mean_dy, mean_dy_normalised = dbias / count, dscale / count
    if axis_name:
        mean_dy, mean_dy_normalised = lax.pmean((mean_dy, mean_dy_normalised), axis_name)
    dx = dy - _channels_last(mean_dy) - normalised * _channels_last(mean_dy_normalised)
    return (dx * _channels_last(scale * inverse)).astype(x.dtype), dscale, dbias


_normalise_batch.defvjp(_normalise_batch_fwd, _normalise_batch_bwd)


def max_pool(x):
    """Kernel 3, stride 2, padding 1: [B, H, W, C] -> [B, H / 2, W / 2, C] for even H and W."""
    return lax.reduce_window(
        x,
        np.array(-np.inf, x.dtype),  # a constant, by which JAX recognises a maximum
        lax.max,
        window_dimensions=(1, 3, 3, 1),
        window_strides=(1, 2, 2, 1),
        padding=((0, 0), (1, 1), (1, 1), (0, 0)),
    )


def _is_asked_for(module: nn.Module, collection: str) -> bool:
    """Tells whether `with_prepared_kernels` asks for the kernels of a collection."""
    # At initialisation every collection is mutable.
    return module.is_mutable_collection(collection) and not module.is_initializing()


def _offer_transposed(module: nn.Module, kernel, x, stride: int = 1) -> None:
    """Puts the kernel of a layer that sees `x` into its collection, if asked for and faster."""
    if not _is_asked_for(module, few_rows.COLLECTION):
        return
    batch, height, width, channels = x.shape
    rows = batch * -(-height // stride) * -(-width // stride)
    if few_rows.applies(rows, channels, kernel.shape[-1]):
        module.put_variable(few_rows.COLLECTION, "kernel", few_rows.transpose_kernel(kernel))


def _matmul(x, kernel):
    """Multiplies [B, H, W, C in] by [C in, C out] as one product of two matrices."""
    y = x.reshape(-1, x.shape[-1]) @ kernel
    return y.reshape(*x.shape[:-1], -1)


def _at_least_float32(x):
    return x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x


def _channels_last(vector):
    return vector.reshape(1, 1, 1, -1)


def _global_mean(x, axis_name):
    mean = _sum_positions(x) / (x.size // x.shape[-1])
    return lax.pmean(mean, axis_name) if axis_name else mean


def _sum_positions(x):
    """Sums [B, H, W, C] over all but C.

    On CPU as a product with a row of ones: XLA's own sum takes up to 30 times as long there without
    YNNPACK's (docs/performance.md), and rounds more, since it adds one position after the other.
    """

    def as_product(x):
        rows = x.reshape(-1, x.shape[-1])
        return jnp.matmul(jnp.ones((1, len(rows)), x.dtype), rows, precision="highest")[0]

    return lax.platform_dependent(x, cpu=as_product, default=partial(jnp.sum, axis=(0, 1, 2)))
