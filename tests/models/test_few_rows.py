"""Products with a transposed kernel against the layers' own forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models import few_rows
from rdvar_jax.models.layers import Conv, Deconv
from rdvar_jax.models.prepared_kernels import with_prepared_kernels
from rdvar_jax.scoring.scores import make_prepare_fn, make_score_fn


@pytest.mark.parametrize(
    ("rows", "channels", "features", "expected"),
    [
        (4, 512, 512, True),
        (64, 256, 256, True),
        (65, 256, 256, False),  # more arithmetic than reading
        (128, 512, 1024, True),
        (129, 512, 1024, False),
        (16, 128, 128, False),  # a kernel that is soon read
    ],
)
def test_where_it_is_used(rows, channels, features, expected):
    assert few_rows.applies(rows, channels, features) is expected


@pytest.fixture
def everywhere(monkeypatch):
    """Small networks take this form too."""
    make_prepare_fn.forget()
    monkeypatch.setattr(few_rows, "ROWS", 10**9)
    monkeypatch.setattr(few_rows, "MIN_CHANNELS", 1)
    yield
    make_prepare_fn.forget()


@pytest.mark.parametrize(
    ("layer", "kernel_shape"),
    [
        (Conv(7, 3), (3, 3, 5, 7)),
        (Conv(7, 3, stride=2), (3, 3, 5, 7)),
        (Conv(7, 1), (1, 1, 5, 7)),
        (Conv(7, 1, stride=2), (1, 1, 5, 7)),
        (Deconv(7), (2, 2, 5, 7)),
    ],
)
def test_a_layer_computes_the_same(layer, kernel_shape, everywhere):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
    variables = {"params": {"kernel": rng.normal(size=kernel_shape).astype(np.float32)}}
    prepared = with_prepared_kernels(layer, variables, jax.ShapeDtypeStruct(x.shape, x.dtype))
    assert "kernel" in prepared[few_rows.COLLECTION] and not prepared["params"]
    right = layer.apply(variables, x)
    np.testing.assert_allclose(
        layer.apply(prepared, x), right, atol=3e-6 * float(jnp.abs(right).max())
    )


def test_a_stem_keeps_its_kernel(everywhere):
    kernel = np.ones((7, 7, 3, 4), np.float32)
    shape = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    prepared = with_prepared_kernels(Conv(4, 7, stride=2), {"params": {"kernel": kernel}}, shape)
    assert set(prepared) == {"params"} and "kernel" in prepared["params"]


def test_scores_stay(tiny, everywhere, monkeypatch):
    network = (tiny.teacher, tiny.student, tiny.SIZE, 4, Parallel("pmap", tuple(jax.devices()[:2])))
    variables = network[-1].replicate((tiny.teacher_variables, tiny.student_variables))
    images = tiny.images[:6]
    maps, scores = make_score_fn(*network, precision="float32")(*variables, images)
    for prepared in make_prepare_fn(*network, precision="float32")(*variables):
        assert few_rows.COLLECTION in prepared

    make_prepare_fn.forget()
    monkeypatch.setattr(few_rows, "ROWS", 0)
    usual_maps, usual_scores = make_score_fn(*network, precision="float32")(*variables, images)
    np.testing.assert_allclose(maps, usual_maps, atol=1e-5)
    np.testing.assert_allclose(scores, usual_scores, rtol=1e-5)
