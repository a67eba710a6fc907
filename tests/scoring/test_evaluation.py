"""Scoring with a model: its options reach the maps."""

import jax
import numpy as np
import pytest

from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.models.teacher import normalise
from rdvar_jax.scoring.evaluation import score
from rdvar_jax.scoring.maps import anomaly_maps, map_matrices


@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_the_blur_is_the_one_that_is_asked_for(tiny, sigma):
    teacher = tiny.teacher
    model = ReverseDistillation.from_teacher(
        teacher.architecture, teacher.stem_width, tiny.teacher_variables, "made up"
    ).with_student(tiny.student_variables)
    maps, scores = score(
        model, tiny.images, batch_size=8, sigma=sigma, devices=jax.local_devices()[:1]
    )
    features = teacher.apply(tiny.teacher_variables, normalise(tiny.images))
    found = tiny.student.apply(tiny.student_variables, features, train=False)
    expected = anomaly_maps(features, found, map_matrices(32, [8, 4, 2], sigma))
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(scores, maps.max((1, 2)))
