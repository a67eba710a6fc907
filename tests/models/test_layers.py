"""Each layer against the definition of its torch counterpart, computed in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.devices.parallel import AXIS_NAME, Parallel, as_varying
from rdvar_jax.models.layers import BatchNorm, Conv, Deconv, max_pool


def rand(*shape, seed=0, scale=1.0, offset=0.0):
    values = np.random.default_rng(seed).standard_normal(shape) * scale + offset
    return values.astype(np.float32)


@pytest.mark.parametrize(("kernel_size", "stride"), [(7, 2), (3, 1), (3, 2), (1, 1), (1, 2)])
def test_conv_pads_like_torch(kernel_size, stride):
    x, kernel = rand(2, 8, 8, 3), rand(kernel_size, kernel_size, 3, 5, seed=1)
    y = Conv(5, kernel_size, stride).apply({"params": {"kernel": kernel}}, x)

    pad = (kernel_size - 1) // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    size = (8 + 2 * pad - kernel_size) // stride + 1
    expected = np.zeros((2, size, size, 5))
    for i in range(size):
        for j in range(size):
            window = padded[
                :, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size
            ]
            expected[:, i, j] = np.einsum("bhwc,hwcf->bf", window, kernel)
    np.testing.assert_allclose(y, expected, atol=2e-5)


def test_deconv_writes_each_pixel_into_its_two_by_two_window():
    x, kernel = rand(2, 3, 4, 5), rand(2, 2, 5, 6, seed=1)
    y = Deconv(6).apply({"params": {"kernel": kernel}}, x)

    # ConvTranspose2d, kernel 2, stride 2: out[2h + a, 2w + b] = x[h, w] @ kernel[a, b].
    expected = np.zeros((2, 6, 8, 6))
    for a in range(2):
        for b in range(2):
            expected[:, a::2, b::2] = x @ kernel[a, b]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_max_pool_has_padding_one():
    x = rand(1, 6, 6, 2) - 10  # all negative: padding must not win
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = np.stack(
        [
            np.stack([padded[:, i : i + 3, j : j + 3].max((1, 2)) for j in (0, 2, 4)], 1)
            for i in (0, 2, 4)
        ],
        1,
    )
    np.testing.assert_array_equal(max_pool(x), expected)


def norm_variables(channels):
    return {
        "params": {"scale": rand(channels, seed=1) + 2, "bias": rand(channels, seed=2)},
        "batch_stats": {"mean": rand(channels, seed=3), "var": rand(channels, seed=4) ** 2 + 0.5},
    }


def test_batch_norm_in_training_uses_the_batch_and_updates_as_torch_does():
    x, variables = rand(4, 3, 3, 2), norm_variables(2)
    y, updates = BatchNorm().apply(variables, x, True, mutable=["batch_stats"])

    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    p, stats = variables["params"], variables["batch_stats"]
    expected = (x - mean) / np.sqrt(var + 1e-5) * p["scale"] + p["bias"]
    np.testing.assert_allclose(y, expected, atol=1e-5)
    # torch keeps the unbiased variance: n / (n - 1) with n = 36.
    new = updates["batch_stats"]
    np.testing.assert_allclose(new["mean"], 0.9 * stats["mean"] + 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(new["var"], 0.9 * stats["var"] + 0.1 * var * 36 / 35, atol=1e-6)


def test_batch_norm_in_evaluation_uses_running_statistics():
    x, variables = rand(4, 3, 3, 2), norm_variables(2)
    y = BatchNorm().apply(variables, x, False)
    p, stats = variables["params"], variables["batch_stats"]
    expected = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * p["scale"] + p["bias"]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_batch_norm_keeps_a_small_deviation_beside_a_large_mean():
    x = rand(8, 4, 4, 1, scale=1e-2, offset=1e3)
    variables = norm_variables(1)
    _, updates = BatchNorm(momentum=1.0).apply(variables, x, True, mutable=["batch_stats"])
    np.testing.assert_allclose(updates["batch_stats"]["var"], x.astype(np.float64).var(), rtol=0.02)


def test_batch_norms_gradient_is_that_of_its_formula():
    x, weight = rand(4, 3, 3, 2, offset=2.0), rand(4, 3, 3, 2, seed=5)
    variables = norm_variables(2)

    def loss(x, params):
        y, _ = BatchNorm().apply({**variables, "params": params}, x, True, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(y) * weight)

    def formula(x, params):
        mean, var = x.mean((0, 1, 2), keepdims=True), x.var((0, 1, 2), keepdims=True)
        scale, bias = (params[name].reshape(1, 1, 1, -1) for name in ("scale", "bias"))
        return jnp.sum(jnp.sin((x - mean) / jnp.sqrt(var + 1e-5) * scale + bias) * weight)

    args = x, variables["params"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5),
        jax.grad(loss, (0, 1))(*args),
        jax.grad(formula, (0, 1))(*args),
    )


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_batch_norm_over_devices_is_that_of_the_global_batch(mode):
    # Shards with different means: local statistics would differ.
    x = rand(8, 2, 2, 3) + np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1)
    variables = norm_variables(3)
    expected, expected_updates = BatchNorm().apply(variables, x, True, mutable=["batch_stats"])

    parallel = Parallel(mode, tuple(jax.local_devices()[:4]))
    norm = BatchNorm(AXIS_NAME)
    outputs = parallel.wrap(
        lambda v, x: norm.apply(v, x, True, mutable=["batch_stats"])[0],
        split=(False, True),
        split_output=True,
    )
    updates = parallel.wrap(
        lambda v, x: norm.apply(v, x, True, mutable=["batch_stats"])[1],
        split=(False, True),
        split_output=False,
    )
    args = parallel.replicate(variables), parallel.shard_batch(x)
    np.testing.assert_allclose(parallel.gather(outputs(*args)), expected, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), updates(*args), expected_updates
    )


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_batch_norms_gradient_over_devices_is_that_of_the_global_batch(mode):
    x = rand(8, 2, 2, 3) + np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1)
    weight, variables = rand(8, 2, 2, 3, seed=5), norm_variables(3)

    def gradient_with(norm):
        def weighted(x, variables, weight):
            y, _ = norm.apply(variables, x, True, mutable=["batch_stats"])
            return jnp.sum(y * weight)

        return jax.grad(weighted)

    parallel = Parallel(mode, tuple(jax.local_devices()[:4]))
    norm = BatchNorm(AXIS_NAME)
    gradient = parallel.wrap(
        lambda x, variables, weight: gradient_with(norm)(x, as_varying(variables), weight),
        split=(True, False, True),
        split_output=True,
    )
    found = gradient(
        parallel.shard_batch(x), parallel.replicate(variables), parallel.shard_batch(weight)
    )
    expected = gradient_with(BatchNorm())(x, variables, weight)
    np.testing.assert_allclose(parallel.gather(found), expected, atol=1e-5)


def test_layers_take_float32_to_float32():
    y = Conv(4, 3).apply({"params": {"kernel": rand(3, 3, 2, 4)}}, jnp.ones((1, 4, 4, 2)))
    assert isinstance(y, jax.Array) and y.dtype == jnp.float32
