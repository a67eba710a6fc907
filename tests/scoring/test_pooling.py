"""Image scores of maps: the maximum, or the mean of the highest pixels, in JAX and in numpy."""

import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.scoring import metrics
from rdvar_jax.scoring.device_pooling import pooled
from rdvar_jax.scoring.evaluation import evaluate, score
from rdvar_jax.scoring.pooling import (
    count_pooled,
    is_pooling,
    pack_pixels,
    pooled_on_host,
    unpack_pixels,
)
from rdvar_jax.scoring.scores import make_score_fn

SHARES = (1e-9, 0.01, 1.0)


def random_maps() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    usual = rng.gamma(2.0, 0.1, (3, 40, 24)).astype(np.float32)
    return {
        "usual": usual,
        "around 0": usual - np.float32(0.2),
        "few values": np.round(usual, 1),
        "constant": np.full((2, 8, 8), 0.3, np.float32),
        "one pixel": usual[:, :1, :1],
        "tiny and huge": (usual * 10.0 ** rng.integers(-37, 37, usual.shape)).astype(np.float32),
    }


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", random_maps())
def test_the_mean_of_the_highest_values(name, share):
    maps = random_maps()[name]
    k = max(1, round(share * maps[0].size))
    highest = np.sort(maps.reshape(len(maps), -1).astype(np.float64))[:, -k:]
    # The rounding of sums of k values, which may cancel.
    tolerance = 3e-7 * np.abs(highest).mean(axis=1).max()
    for found in (jax.jit(lambda x: pooled(x, share))(maps), pooled_on_host(maps, share)):
        assert found.dtype == np.float32 and found.shape == (len(maps),)
        np.testing.assert_allclose(found, highest.mean(axis=1), rtol=1e-6, atol=tolerance)


def test_the_smallest_share_is_the_maximum_to_the_bit():
    for maps in random_maps().values():
        for pool in (pooled, pooled_on_host):
            np.testing.assert_array_equal(pool(maps, 1e-9), maps.max((1, 2)))
            np.testing.assert_array_equal(pool(maps, "max"), maps.max((1, 2)))


@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf])
def test_what_is_not_finite_stays_so(bad):
    maps = np.full((2, 6, 5), 0.1, np.float32)
    maps[1, 2, 3] = bad
    for pool in (pooled, pooled_on_host):
        for pooling in ("max", *SHARES):
            found = np.asarray(pool(maps, pooling))
            assert np.isfinite(found[0]) and not np.isfinite(found[1]), (pool, pooling)


@pytest.mark.parametrize("pooling", ["max", *SHARES])
def test_ignored_pixels_are_as_if_they_were_not_there(pooling):
    maps = random_maps()["around 0"]
    ignored = maps[0] > np.quantile(maps[0], 0.7)
    left = np.stack([one[~ignored] for one in maps])[:, None, :]
    expected = pooled_on_host(left, pooling)
    assert expected[0] < pooled_on_host(maps, pooling)[0]
    for pool in (pooled, pooled_on_host):
        np.testing.assert_allclose(pool(maps, pooling, ignored), expected, rtol=1e-5, atol=1e-7)
    one_left = np.ones_like(ignored)
    one_left[3, 4] = False
    for pool in (pooled, pooled_on_host):
        np.testing.assert_array_equal(pool(maps, pooling, one_left), maps[:, 3, 4])


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (8, 8)])
def test_pixels_can_be_packed(shape):
    pixels = np.random.default_rng(0).random(shape) < 0.5
    np.testing.assert_array_equal(unpack_pixels(pack_pixels(pixels), shape), pixels)
    assert pack_pixels(None) is None and unpack_pixels(None, shape) is None


def test_what_is_ignored_reaches_scores_maps_and_metrics(tiny):
    model = ReverseDistillation("resnet18", stem_width=4, weights="random")
    options = {"batch_size": 4, "devices": jax.local_devices()[:1]}
    maps, scores = score(model, tiny.images[:4], **options)
    ignored = np.zeros((32, 32), bool)
    ignored.flat[maps.max(0).argmax()] = True
    ignored[:, 16:] = True
    masks = np.zeros_like(maps, bool)
    masks[2:, 4:8, 4:28] = True
    test = SimpleNamespace(
        images=tiny.images[:4], masks=masks, labels=np.array([0, 0, 1, 1]), valid_mask=None
    )
    found = evaluate(model, test, ignored=ignored, **options)
    np.testing.assert_array_equal(found.maps, np.where(ignored, 0, maps))
    np.testing.assert_array_equal(found.scores, maps[:, ~ignored].max(axis=1))
    assert found.scores.max() < scores.max()
    seen = ~ignored
    expected = metrics.auroc(maps[:, seen], masks[:, seen])
    assert found.metrics["pixel_auroc"] == pytest.approx(expected, abs=1e-12)
    test.valid_mask = np.broadcast_to(np.arange(32) < 30, maps.shape)
    again = evaluate(model, test, ignored=ignored, **options)
    assert again.metrics == found.metrics
    for bad in (np.ones((32, 32), bool), ignored[:16], ignored.astype(int)):
        with pytest.raises(ValueError, match=r"ignored must be bool \[32, 32\] and leave"):
            score(model, tiny.images[:4], ignored=bad)


@pytest.mark.parametrize(("mode", "num_devices"), [("pmap", 1), ("shard_map", 4)])
def test_devices_and_padded_batches_change_nothing(tiny, mode, num_devices):
    parallel = Parallel(mode, tuple(jax.local_devices()[:num_devices]))
    fn = make_score_fn(tiny.teacher, tiny.student, tiny.SIZE, 4, parallel, pooling=0.05)
    variables = parallel.replicate((tiny.teacher_variables, tiny.student_variables))
    maps, scores = fn(*variables, tiny.images[:6])
    ordered = np.sort(maps.reshape(6, -1))[:, -51:]  # of 32 x 32
    np.testing.assert_allclose(scores, ordered.mean(axis=1), rtol=1e-6)
    assert (scores < maps.max((1, 2))).all() and np.ptp(scores) > 1e-4


def test_what_a_pooling_is():
    assert all(map(is_pooling, ("max", 1, 1.0, 0.01, 5e-324)))
    for other in ("mean", "", 0, 0.0, -0.1, 1.0001, math.nan, math.inf, True, None):
        assert not is_pooling(other), other
    assert [count_pooled(0.01, n) for n in (1, 49, 65536)] == [1, 1, 655]
    with pytest.raises(ValueError, match=r"pooling='mean' must be 'max' or a number in \(0, 1\]"):
        score(None, np.zeros((1, 32, 32, 3), np.uint8), pooling="mean")
