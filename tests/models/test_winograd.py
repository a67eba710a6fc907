"""Winograd's form of 3x3 convolutions against direct convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models import winograd
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.models.prepared_kernels import with_prepared_kernels
from rdvar_jax.models.student import Student
from rdvar_jax.scoring.scores import make_prepare_fn, make_score_fn
from rdvar_jax.weights.architectures import Architecture


@pytest.mark.parametrize(("height", "width"), [(2, 2), (4, 6), (10, 4)])
def test_it_is_a_convolution_with_padding_1(height, width):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, height, width, 5)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 5, 7)).astype(np.float32)
    right = lax.conv_general_dilated(
        x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = winograd.conv_3x3(x, winograd.transform_kernel(kernel))
    np.testing.assert_allclose(y, right, atol=3e-6 * float(jnp.abs(right).max()))


@pytest.mark.parametrize(
    ("shape", "features", "kernel_size", "stride", "expected"),
    [
        ((8, 16, 16, 64), 64, 3, 1, True),
        ((1, 64, 32, 64), 128, 3, 1, True),
        ((4, 16, 16, 64), 64, 3, 1, False),  # few tiles for so few channels: measured slower
        ((1, 16, 16, 256), 256, 3, 1, True),
        ((1, 8, 8, 1024), 1024, 3, 1, False),  # few tiles: measured slower
        ((8, 16, 16, 32), 64, 3, 1, False),
        ((8, 16, 16, 64), 64, 3, 2, False),
        ((8, 16, 16, 64), 64, 1, 1, False),
        ((9, 15, 16, 64), 64, 3, 1, False),
    ],
)
def test_where_it_is_used(shape, features, kernel_size, stride, expected):
    assert winograd.applies(shape, features, kernel_size, stride) is expected


@pytest.fixture
def everywhere(monkeypatch):
    """Small networks take this form too."""
    make_prepare_fn.forget()
    monkeypatch.setattr(winograd, "MIN_TILES", 1)
    monkeypatch.setattr(winograd, "MANY_TILES", 1)
    monkeypatch.setattr(winograd, "MIN_CHANNELS", 1)
    yield
    make_prepare_fn.forget()


def deep_pair(tiny):
    """`tiny` with two blocks in a stage, so that the decoder also has 3x3 convolutions."""
    return tiny.make(Architecture("basic", (2, 1, 2), ocbe_blocks=2))


def test_kernels_are_replaced_and_the_features_stay(tiny, everywhere):
    pair = deep_pair(tiny)
    student = Student(pair.student.architecture, pair.WIDTH)
    shapes = jax.eval_shape(
        pair.teacher.apply, pair.teacher_variables, np.zeros((2, 32, 32, 3), np.float32)
    )
    variables = fold_batch_norm(init_variables(student, shapes, seed=3, train=False))
    transform = jax.jit(lambda v: with_prepared_kernels(student, v, shapes, train=False))
    transformed = transform(variables)

    stage, kept = transformed["winograd"]["decoder"]["layer1"], transformed["params"]["decoder"]
    assert stage["block0"]["conv2"]["kernel"].shape[0] == 16
    assert "kernel" not in kept["layer1"]["block0"]["conv2"]
    assert "kernel" in kept["layer1"]["block0"]["conv1"]  # a deconvolution

    rng = np.random.default_rng(0)
    inputs = tuple(rng.random(shape.shape, np.float32) for shape in shapes)
    before = student.apply(variables, inputs, train=False)
    after = student.apply(transformed, inputs, train=False)
    for new, old in zip(after, before, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5 * float(jnp.abs(old).max()))


def test_scores_stay(tiny, everywhere, monkeypatch):
    pair = deep_pair(tiny)
    network = (pair.teacher, pair.student, pair.SIZE, 4, Parallel("pmap", tuple(jax.devices()[:2])))
    variables = network[-1].replicate((pair.teacher_variables, pair.student_variables))
    images = pair.images[:6]
    maps, scores = make_score_fn(*network, precision="float32")(*variables, images)
    assert winograd.COLLECTION in make_prepare_fn(*network, precision="float32")(*variables)[1]

    make_prepare_fn.forget()
    monkeypatch.setattr(winograd, "MIN_TILES", 10**9)
    direct_maps, direct_scores = make_score_fn(*network, precision="float32")(*variables, images)
    np.testing.assert_allclose(maps, direct_maps, atol=1e-5)
    np.testing.assert_allclose(scores, direct_scores, rtol=1e-5)


def test_bfloat16_is_left_alone(tiny, everywhere):
    network = (tiny.teacher, tiny.student, tiny.SIZE, 4, Parallel("pmap", tuple(jax.devices()[:1])))
    prepared = make_prepare_fn(*network, precision="bfloat16")(
        *network[-1].replicate((tiny.teacher_variables, tiny.student_variables))
    )
    assert all(set(variables) == {"params"} for variables in prepared)
