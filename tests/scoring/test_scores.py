"""Batched scoring: padding, batch size, devices and modes change nothing."""

import jax
import numpy as np
import pytest

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models.teacher import normalise
from rdvar_jax.scoring.all_metrics import evaluate_maps
from rdvar_jax.scoring.maps import anomaly_maps, map_matrices
from rdvar_jax.scoring.scores import make_score_fn


def score(tiny, images, batch_size, mode="pmap", num_devices=1):
    parallel = Parallel(mode, tuple(jax.local_devices()[:num_devices]))
    fn = make_score_fn(tiny.teacher, tiny.student, tiny.SIZE, batch_size, parallel)
    variables = parallel.replicate((tiny.teacher_variables, tiny.student_variables))
    return fn(*variables, images)


@pytest.fixture(scope="module")
def reference(tiny):
    return score(tiny, tiny.images, 8)


def test_maps_come_from_the_networks_and_scores_are_their_maxima(tiny, reference):
    maps, scores = reference
    teacher_features = tiny.teacher.apply(tiny.teacher_variables, normalise(tiny.images))
    student_features = tiny.student.apply(tiny.student_variables, teacher_features, train=False)
    expected = anomaly_maps(teacher_features, student_features, map_matrices(32, [8, 4, 2]))
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(scores, maps.max((1, 2)))
    assert maps.dtype == scores.dtype == np.float32


@pytest.mark.parametrize("batch_size", [3, 16])
def test_batch_size_and_padding_change_nothing(tiny, reference, batch_size):
    maps, scores = score(tiny, tiny.images, batch_size)
    np.testing.assert_allclose(maps, reference[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores, reference[1], rtol=1e-5)
    masks = np.random.default_rng(0).random(maps.shape) < 0.1
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    now = evaluate_maps(maps, scores, masks, labels)
    before = evaluate_maps(*reference, masks, labels)
    assert now == pytest.approx(before, abs=1e-4)


@pytest.mark.parametrize(("mode", "num_devices"), [("pmap", 4), ("shard_map", 4)])
def test_devices_and_modes_change_nothing(tiny, reference, mode, num_devices):
    # Two images a device, or their order over the devices could not be seen.
    maps, scores = score(tiny, tiny.images[:5], 8, mode, num_devices)
    np.testing.assert_allclose(maps, reference[0][:5], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores, reference[1][:5], rtol=1e-5)


def test_images_need_not_be_square(tiny):
    images = np.concatenate([tiny.images[:4], tiny.images[4:]], axis=2)  # [4, 32, 64, 3]
    parallel = Parallel("pmap", tuple(jax.local_devices()[:1]))
    fn = make_score_fn(tiny.teacher, tiny.student, (32, 64), 4, parallel)
    maps, scores = fn(*parallel.replicate((tiny.teacher_variables, tiny.student_variables)), images)
    teacher_features = tiny.teacher.apply(tiny.teacher_variables, normalise(images))
    student_features = tiny.student.apply(tiny.student_variables, teacher_features, train=False)
    expected = anomaly_maps(
        teacher_features,
        student_features,
        map_matrices(32, [8, 4, 2]),
        map_matrices(64, [16, 8, 4]),
    )
    assert maps.shape == (4, 32, 64)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(scores, maps.max((1, 2)))
