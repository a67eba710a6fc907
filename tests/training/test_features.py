"""Cached features: the same steps as with the teacher in every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.models.build import image_shape
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.models.stfpm import PyramidStudent
from rdvar_jax.models.teacher import normalise
from rdvar_jax.training.features import teacher_features
from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.training.step import build_optimiser, init_state, make_train_step

TX = build_optimiser(0.005, 0.5, 0.999)


@pytest.mark.parametrize("batch_size", [3, 8, 20])
def test_features_are_those_of_each_image(tiny, batch_size):
    parallel = Parallel("pmap", (jax.local_devices()[0],))
    features = teacher_features(
        tiny.teacher,
        *parallel.replicate((tiny.teacher_variables, tiny.images)),
        batch_size,
        parallel,
    )
    expected = tiny.teacher.apply(tiny.teacher_variables, normalise(tiny.images))
    for kept, right in zip(features, expected, strict=True):
        assert kept.dtype == jnp.float32
        np.testing.assert_allclose(kept, right, rtol=1e-5, atol=1e-5)


def test_bfloat16_features_take_half_the_memory(tiny):
    parallel = Parallel("pmap", (jax.local_devices()[0],))
    args = parallel.replicate((tiny.teacher_variables, tiny.images))
    exact, half = (
        teacher_features(tiny.teacher, *args, 4, parallel, precision)
        for precision in ("float32", "bfloat16")
    )
    for a, b in zip(exact, half, strict=True):
        assert b.dtype == jnp.bfloat16 and 2 * b.nbytes == a.nbytes
        np.testing.assert_allclose(b.astype(jnp.float32), a, atol=0.02 * float(jnp.abs(a).max()))


@pytest.mark.parametrize(
    ("mode", "num_devices"),
    [
        ("pmap", 1),
        ("shard_map", 4),
        pytest.param("pmap", 4, marks=pytest.mark.slow),
        pytest.param("shard_map", 1, marks=pytest.mark.slow),
    ],
)
def test_losses_with_kept_features_are_those_without(tiny, mode, num_devices):
    check_kept_features(tiny, tiny.student, tiny.student_variables, mode, num_devices)


def test_a_student_that_sees_images_has_them_beside_the_features(tiny):
    student = PyramidStudent(tiny.student.architecture, tiny.WIDTH, AXIS_NAME)
    variables = init_variables(student, image_shape(tiny.SIZE), seed=2, train=False)
    check_kept_features(tiny, student, variables, "pmap", 1)


def check_kept_features(tiny, student, student_variables, mode, num_devices):
    parallel = Parallel(mode, tuple(jax.local_devices()[:num_devices]))
    variables, data = parallel.replicate((fold_batch_norm(tiny.teacher_variables), tiny.images))
    features = teacher_features(tiny.teacher, variables, data, 3, parallel)
    if student.sees_images:
        features = (data, features)
    # Not in stored order, and one image twice.
    indices = parallel.shard_batch(np.array([5, 1, 0, 7, 7, 2, 3, 6], np.int32))

    def metrics_of(teacher, variables, data):
        step = parallel.wrap(
            make_train_step(teacher, student, RDVarLoss(), TX),
            split=(False, False, False, True),
            split_output=False,
            donate_argnums=(0,),
        )
        state = parallel.replicate(init_state(student_variables, TX))
        return jax.device_get(step(state, variables, data, indices)[1])

    without = metrics_of(tiny.teacher, variables, data)
    kept = metrics_of(None, {}, features)
    for name, value in without.items():
        np.testing.assert_allclose(kept[name], value, rtol=2e-5, err_msg=name)
