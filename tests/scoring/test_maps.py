"""The map's constant matrices against scipy and against torch's definition of upsampling."""

import jax
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rdvar_jax.scoring.maps import (
    anomaly_maps,
    blur_matrix,
    make_map_fn,
    map_matrices,
    upsampling_matrix,
)


def upsample(m, size):
    """torch's bilinear interpolation with align_corners=True, pixel by pixel."""
    height, width = (size, size) if isinstance(size, int) else size
    h, w = m.shape
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y, x = i * (h - 1) / (height - 1), j * (w - 1) / (width - 1)
            y0, x0 = min(int(y), h - 2), min(int(x), w - 2)
            dy, dx = y - y0, x - x0
            out[i, j] = (
                m[y0, x0] * (1 - dy) * (1 - dx)
                + m[y0, x0 + 1] * (1 - dy) * dx
                + m[y0 + 1, x0] * dy * (1 - dx)
                + m[y0 + 1, x0 + 1] * dy * dx
            )
    return out


@pytest.mark.parametrize("sizes", [(64, 16), (32, 2), (33, 8), (8, 8)])
def test_upsampling_aligns_corners(sizes):
    size, h = sizes
    m = np.random.default_rng(0).random((h, h))
    matrix = upsampling_matrix(size, h)
    up = matrix @ m @ matrix.T
    np.testing.assert_allclose(up, upsample(m, size), atol=1e-12)
    corners = np.ix_([0, -1], [0, -1])
    np.testing.assert_allclose(up[corners], m[corners], atol=1e-12)


def test_upsampling_of_one_pixel_is_constant():
    np.testing.assert_array_equal(upsampling_matrix(32, 1), np.ones((32, 1)))


@pytest.mark.parametrize("sizes", [(64, 16), (32, 2), (33, 8), (8, 8), (32, 1)])
def test_upsampling_without_aligned_corners_is_jaxs_resize(sizes):
    size, h = sizes
    m = np.random.default_rng(0).random((h, h)).astype(np.float32)
    matrix = upsampling_matrix(size, h, align_corners=False)
    expected = jax.image.resize(m, (size, size), "linear")
    np.testing.assert_allclose(matrix @ m @ matrix.T, expected, atol=1e-6)


@pytest.mark.parametrize("size", [256, 64, 17, 5])  # 5: the kernel is mirrored several times
@pytest.mark.parametrize("sigma", [4.0, 1.3, 0.0])
def test_blur_is_scipys(size, sigma):
    m = np.random.default_rng(0).random((size, size))
    matrix = blur_matrix(size, sigma)
    expected = gaussian_filter(m, sigma) if sigma else m
    np.testing.assert_allclose(matrix @ m @ matrix.T, expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(64, 64), (64, 96), (32, 128)])
def test_maps_are_rd4ads(shape):
    rng = np.random.default_rng(0)
    (rows, columns), channels = [[side // 4, side // 8, side // 16] for side in shape], (3, 6, 12)
    teacher, student = (
        [
            rng.random((2, h, w, c)).astype(np.float32)
            for h, w, c in zip(rows, columns, channels, strict=True)
        ]
        for _ in range(2)
    )
    matrices = map_matrices(shape[0], rows), map_matrices(shape[1], columns)
    maps = anomaly_maps(teacher, student, *matrices)
    if shape[0] == shape[1]:
        np.testing.assert_array_equal(anomaly_maps(teacher, student, matrices[0]), maps)

    expected = np.zeros((2, *shape))
    for t, s in zip(teacher, student, strict=True):
        t, s = t.astype(np.float64), s.astype(np.float64)
        cosine = (t * s).sum(-1) / np.linalg.norm(t, axis=-1) / np.linalg.norm(s, axis=-1)
        for image in range(2):
            expected[image] += upsample(1 - cosine[image], shape)
    for image in range(2):
        expected[image] = gaussian_filter(expected[image], 4)
    np.testing.assert_allclose(maps, expected, atol=2e-6)


@pytest.mark.parametrize(("shape", "sigma"), [((64, 64), 0.0), ((32, 64), 2.0)])
def test_product_maps_are_stfpms(shape, sigma):
    rng = np.random.default_rng(0)
    sizes = [(shape[0] // n, shape[1] // n) for n in (4, 8, 16)]
    teacher, student = (
        [rng.random((2, h, w, 5)).astype(np.float32) for h, w in sizes] for _ in range(2)
    )
    # What a student of one's own returns after its maps is for its loss only.
    maps = make_map_fn("product", *shape, sigma)(teacher, [*student, np.zeros(3)])

    expected = np.ones((2, *shape), np.float32)
    for t, s in zip(teacher, student, strict=True):
        t, s = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (t, s))
        distance = ((t - s) ** 2).sum(-1) / 2
        expected *= jax.image.resize(distance, (2, *shape), "linear")
    if sigma:
        expected = np.stack([gaussian_filter(one, sigma) for one in expected])
    np.testing.assert_allclose(maps, expected, rtol=2e-5)


def test_small_products_keep_their_digits():
    rng = np.random.default_rng(0)
    teacher = [rng.random((1, n, n, 4)).astype(np.float32) for n in (8, 4, 2)]
    student = [x * (1 + 1e-4 * rng.standard_normal(x.shape).astype(np.float32)) for x in teacher]
    maps = np.asarray(make_map_fn("product", 32, 32, 0.0)(teacher, student))
    assert 0 < maps.min() and maps.max() < 1e-22


def test_equal_features_give_an_empty_map():
    features = [np.random.default_rng(0).random((1, 8, 8, 4)).astype(np.float32)]
    np.testing.assert_allclose(
        anomaly_maps(features, features, map_matrices(32, [8])), 0, atol=1e-6
    )
