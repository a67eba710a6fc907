"""Measures of collapse against constructed cases."""

import numpy as np
from reproduction import collapse

RNG = np.random.default_rng(0)


def test_spread_is_l_vars_quantity():
    vectors = RNG.random((5, 40)).astype(np.float32)
    mean = vectors.mean(axis=0)
    cosines = vectors @ mean / np.linalg.norm(vectors, axis=1) / np.linalg.norm(mean)
    np.testing.assert_allclose(collapse.spread(vectors), np.mean(1 - cosines), rtol=1e-5)
    assert abs(collapse.spread(np.tile(vectors[:1], (5, 1)))) < 1e-6


def test_effective_rank_counts_equal_directions():
    # Three orthogonal directions of equal variance, both ways, around a mean of their own.
    directions = np.eye(3, 20, dtype=np.float32)
    vectors = np.concatenate([directions, -directions]) + 7
    np.testing.assert_allclose(collapse.effective_rank(vectors), 3, rtol=1e-6)
    vectors = np.concatenate([directions[:1], -directions[:1]]) + 7
    np.testing.assert_allclose(collapse.effective_rank(vectors), 1, rtol=1e-6)
    assert collapse.effective_rank(np.ones((4, 9), np.float32)) == 1
    many = RNG.standard_normal((30, 1000)).astype(np.float32)
    assert 25 < collapse.effective_rank(many) <= 29


def test_both_networks_are_measured_over_flattened_maps():
    teacher, student = RNG.random((2, 6, 4, 4, 3)).astype(np.float32)
    student = 1 + 0.01 * student
    measures = collapse.measure(teacher, student)
    assert measures["num_images"] == 6
    assert measures["spread"] < measures["teacher_spread"] / 100
    assert measures["teacher_spread"] == collapse.spread(teacher.reshape(6, -1))


def test_separation_is_in_standard_deviations():
    scores = np.concatenate([RNG.normal(0, 2, 100_000), RNG.normal(3, 1, 50_000)])
    labels = np.repeat([0, 1], [100_000, 50_000])
    np.testing.assert_allclose(collapse.separation(scores, labels), 3 / 2.5**0.5, rtol=0.02)
    assert collapse.separation(scores[:5], labels[:5]) is None
