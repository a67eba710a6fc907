"""Both losses against their formulas in numpy float64, and their gradients."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.models.cosine import cosine_similarity
from rdvar_jax.training.losses import RDVarLoss, distillation_loss, variance_loss


def maps(seed, batch=4):
    rng = np.random.default_rng(seed)
    shapes = [(batch, 8, 8, 3), (batch, 4, 4, 6), (batch, 2, 2, 12)]
    return [rng.standard_normal(shape).astype(np.float32) + 0.3 for shape in shapes]


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_distillation_flat_is_one_vector_an_image_and_scale():
    teacher, student = maps(0), maps(1)
    expected = sum(
        np.mean(1 - cosine(t.reshape(4, -1), s.reshape(4, -1)))
        for t, s in zip(teacher, student, strict=True)
    )
    assert distillation_loss(teacher, student, "flat") == pytest.approx(expected, rel=1e-5)


def test_distillation_pixel_averages_over_positions():
    teacher, student = maps(0), maps(1)
    expected = sum(np.mean(1 - cosine(t, s)) for t, s in zip(teacher, student, strict=True))
    value = distillation_loss(teacher, student, "pixel")
    assert value == pytest.approx(expected, rel=1e-5)
    assert abs(value - distillation_loss(teacher, student, "flat")) > 1e-3


def test_variance_loss_is_equation_5():
    features = maps(0)[0]
    vectors = features.reshape(4, -1)
    expected = np.mean(1 - cosine(vectors, np.broadcast_to(vectors.mean(0), vectors.shape)))
    assert variance_loss(features, RDVarLoss()) == pytest.approx(expected, rel=1e-5)


def test_variance_loss_is_zero_for_equal_images_and_for_one():
    features = maps(0)[0]
    same = np.repeat(features[:1], 4, axis=0)
    assert variance_loss(same, RDVarLoss()) == pytest.approx(0, abs=1e-6)
    assert variance_loss(features[:1], RDVarLoss()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("distance", "fn"), [("l1", np.abs), ("l2", np.square)])
def test_other_distances(distance, fn, reduction):
    features = maps(0)[0]
    vectors = features.reshape(4, -1).astype(np.float64)
    difference = fn(vectors - vectors.mean(0))
    expected = getattr(difference, reduction)(axis=1).mean()
    settings = RDVarLoss(distance=distance, reduction=reduction)
    assert variance_loss(features, settings) == pytest.approx(expected, rel=1e-5)


def test_total_adds_stages_and_weight():
    teacher, student = maps(0), maps(1)
    settings = RDVarLoss(lambda_var=0.5, stages=("d1", "d3"))
    loss, parts = settings(teacher, student)
    l_var = float(variance_loss(student[0], settings) + variance_loss(student[2], settings))
    assert parts["loss_var"] == pytest.approx(l_var, rel=1e-6)
    l_model = float(distillation_loss(teacher, student, "flat"))
    assert loss == pytest.approx(l_model + 0.5 * l_var)


@pytest.mark.parametrize(("stage", "index"), [("d1", 0), ("d2", 1), ("d3", 2)])
def test_d1_is_the_largest_map(stage, index):
    teacher, student = maps(0), maps(1)
    _, parts = RDVarLoss(stages=(stage,))(teacher, student)
    assert parts["loss_var"] == pytest.approx(
        float(variance_loss(student[index], RDVarLoss())), rel=1e-6
    )


def test_lambda_zero_reports_but_does_not_weigh_the_variance():
    teacher, student = maps(0), maps(1)
    loss, parts = RDVarLoss(lambda_var=0.0)(teacher, student)
    assert parts["loss_var"] > 0.1
    assert loss == distillation_loss(teacher, student, "flat")


def test_gradient_through_the_mean_can_be_stopped():
    features = jnp.asarray(maps(0)[0])
    through = jax.grad(variance_loss)(features, RDVarLoss())
    stopped = jax.grad(variance_loss)(features, RDVarLoss(stop_gradient_mean=True))
    assert not np.allclose(through, stopped, rtol=1e-2)

    # Finite differences in float64 of the loss with the mean moving, and with it fixed.
    x = np.asarray(features, np.float64)
    direction = np.random.default_rng(1).standard_normal(x.shape)
    fixed = x.reshape(4, -1).mean(0)

    def loss(x, mean):
        vectors = x.reshape(4, -1)
        mean = vectors.mean(0) if mean is None else mean
        return np.mean(1 - cosine(vectors, np.broadcast_to(mean, vectors.shape)))

    for gradient, mean in ((through, None), (stopped, fixed)):
        h = 1e-5
        slope = (loss(x + h * direction, mean) - loss(x - h * direction, mean)) / (2 * h)
        assert np.sum(np.asarray(gradient, np.float64) * direction) == pytest.approx(
            slope, rel=1e-3
        )


def test_gradient_at_a_zero_vector_is_finite():
    zeros, ones = jnp.zeros((2, 5)), jnp.ones((2, 5))
    value, gradient = jax.value_and_grad(lambda a: cosine_similarity(a, ones, -1).sum())(zeros)
    assert value == 0
    assert np.isfinite(gradient).all()


def test_cosine_is_clamped_like_torch():
    # |a| is under eps: torch divides by eps, not by |a|.
    a, b = np.full((1, 4), 1e-9, np.float32), np.ones((1, 4), np.float32)
    expected = 4e-9 / (1e-8 * 2)
    assert cosine_similarity(a, b, -1)[0] == pytest.approx(expected, rel=1e-5)


def test_losses_are_float32_also_for_bfloat16_features():
    teacher = [jnp.asarray(t, jnp.bfloat16) for t in maps(0)]
    student = [jnp.asarray(s, jnp.bfloat16) for s in maps(1)]
    loss, _ = RDVarLoss()(teacher, student)
    assert loss.dtype == jnp.float32


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_the_mean_vector_is_that_of_the_global_batch(mode):
    features = maps(0, batch=8)[0]
    features[:4] += 1  # the two halves differ, so local means give a smaller loss
    parallel = Parallel(mode, tuple(jax.local_devices()[:2]))
    settings = replace(RDVarLoss(), stages=("d1",))
    fn = parallel.wrap(
        lambda x: jax.lax.pmean(variance_loss(x, settings, AXIS_NAME), AXIS_NAME),
        split=(True,),
        split_output=False,
    )
    expected = float(variance_loss(features, settings))
    assert fn(parallel.shard_batch(features)) == pytest.approx(expected, rel=1e-5)
    halves = (variance_loss(features[:4], settings) + variance_loss(features[4:], settings)) / 2
    assert abs(halves - expected) > 0.01
