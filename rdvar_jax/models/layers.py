"""The four layers that the networks are made of, with torch's arithmetic.

Letters in shapes: B batch, H and W height and width, C channels. All images are [B, H, W, C].
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# Modules only declare names and shapes here; initialise.py gives the random values.
zeros, ones = nn.initializers.zeros, nn.initializers.ones


class Conv(nn.Module):
    """A convolution without bias and with torch's symmetric padding (kernel - 1) / 2.

    Attributes:
        features: channels out.
        kernel_size: side of the odd, square kernel.
        stride: 1 or 2. `padding="SAME"` would differ from torch at even sizes, so the padding is
          written out.

    The kernel is [kernel_size, kernel_size, C in, C out].
    """

    features: int
    kernel_size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        k, pad = self.kernel_size, (self.kernel_size - 1) // 2
        kernel = self.param("kernel", zeros, (k, k, x.shape[-1], self.features))
        if k == 1:
            return _matmul(x[:, :: self.stride, :: self.stride], kernel[0, 0])
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, self.stride),
            padding=((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )


class Deconv(nn.Module):
    """torch's ConvTranspose2d with kernel 2, stride 2, no padding and no bias: [B, 2H, 2W, C out].

    The windows do not overlap, so it is one matrix product to 4C and a depth-to-space; XLA's
    transposed convolution gives the same values, and its weight gradient is many times slower on
    CPU. The kernel is [2, 2, C in, C out]: entry (a, b) makes the pixel (2h + a, 2w + b).
    """

    features: int

    @nn.compact
    def __call__(self, x):
        batch, height, width, channels = x.shape
        kernel = self.param("kernel", zeros, (2, 2, channels, self.features))
        # [C in, 4 C out]: entry (a, b) of the window is outermost.
        y = _matmul(x, kernel.transpose(2, 0, 1, 3).reshape(channels, -1))
        y = y.reshape(batch, height, width, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(batch, 2 * height, 2 * width, self.features)


class BatchNorm(nn.Module):
    """Batch normalisation as in torch's BatchNorm2d, over the global batch.

    In training the statistics are those of the batch across all devices of `axis_name`, in
    float32 and two passes (E[x²] - E[x]² loses everything where the mean is large). The running
    variance takes the unbiased estimate with momentum 0.1, as torch does; `flax.linen.BatchNorm`
    takes the biased one.
    """

    axis_name: str | None = None
    epsilon: float = 1e-5
    momentum: float = 0.1

    @nn.compact
    def __call__(self, x, train: bool):
        channels = x.shape[-1]
        scale = self.param("scale", ones, (channels,))
        bias = self.param("bias", zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))

        if not train:
            mean, var = running_mean.value, running_var.value
            factor = scale * lax.rsqrt(var + self.epsilon)
            return (x - _channels_last(mean)) * _channels_last(factor) + _channels_last(bias)

        # Initialisation runs outside any mapped axis.
        axis_name = None if self.is_initializing() else self.axis_name
        y, mean, var = _normalise_batch(x, scale, bias, self.epsilon, axis_name)
        if not self.is_initializing():
            count = x.size // channels * (lax.axis_size(axis_name) if axis_name else 1)
            unbiased = var * (count / max(count - 1, 1))
            old, new = 1 - self.momentum, self.momentum
            running_mean.value = old * running_mean.value + new * mean
            running_var.value = old * running_var.value + new * unbiased
        return y


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalise_batch(x, scale, bias, epsilon: float, axis_name: str | None):
    """x normalised with its own statistics over all devices, with their mean and variance.

    The gradient is written out because the one that JAX derives keeps x - mean beside x and goes
    over both more often than it must. The mean and the variance that are given back are for the
    running statistics: no gradient flows through them.
    """
    mean = _global_mean(x, axis_name)
    var = _global_mean(jnp.square(x - _channels_last(mean)), axis_name)
    factor = scale * lax.rsqrt(var + epsilon)
    y = (x - _channels_last(mean)) * _channels_last(factor) + _channels_last(bias)
    return y, mean, var


def _normalise_batch_fwd(x, scale, bias, epsilon, axis_name):
    y, mean, var = _normalise_batch(x, scale, bias, epsilon, axis_name)
    return (y, mean, var), (x, scale, mean, var)


def _normalise_batch_bwd(epsilon, axis_name, saved, cotangents):
    x, scale, mean, var = saved
    dy, _, _ = cotangents
    inverse = lax.rsqrt(var + epsilon)
    normalised = (x - _channels_last(mean)) * _channels_last(inverse)
    count = x.size // x.shape[-1]
    dbias = dy.sum(axis=(0, 1, 2))
    dscale = (dy * normalised).sum(axis=(0, 1, 2))
    # Every device's images depend on the statistics, so their share is that of the global batch.
    mean_dy, mean_dy_normalised = dbias / count, dscale / count
    if axis_name:
        mean_dy, mean_dy_normalised = lax.pmean((mean_dy, mean_dy_normalised), axis_name)
    dx = dy - _channels_last(mean_dy) - normalised * _channels_last(mean_dy_normalised)
    return dx * _channels_last(scale * inverse), dscale, dbias


_normalise_batch.defvjp(_normalise_batch_fwd, _normalise_batch_bwd)


def max_pool(x):
    """Kernel 3, stride 2, padding 1: [B, H, W, C] -> [B, H / 2, W / 2, C] for even H and W."""
    return lax.reduce_window(
        x,
        -jnp.inf,
        lax.max,
        window_dimensions=(1, 3, 3, 1),
        window_strides=(1, 2, 2, 1),
        padding=((0, 0), (1, 1), (1, 1), (0, 0)),
    )


def _matmul(x, kernel):
    """[B, H, W, C in] times [C in, C out], as one product of two matrices."""
    y = x.reshape(-1, x.shape[-1]) @ kernel
    return y.reshape(*x.shape[:-1], -1)


def _channels_last(vector):
    return vector.reshape(1, 1, 1, -1)


def _global_mean(x, axis_name):
    mean = x.mean(axis=(0, 1, 2))
    return lax.pmean(mean, axis_name) if axis_name else mean
