"""Colour scale of maps in memory and of streamed maps."""

import numpy as np
import pytest

from rdvar_jax.report.scale import RunningScale, color_scale


@pytest.mark.parametrize("size", [1e-4, 0.03, 1.0, 50.0])
def test_counts_give_the_percentiles(size):
    rng = np.random.default_rng(0)
    maps = (size * rng.gamma(2.0, 1.0, (12, 64, 64))).astype(np.float32)
    running = RunningScale()
    for batch in np.split(maps, 4):
        running.add(batch)
    # Half a bin is 2^-12 of the value; np.percentile interpolates between neighbours besides.
    np.testing.assert_allclose(running.scale(), np.percentile(maps, (50, 99.9)), rtol=1e-3)
    np.testing.assert_allclose(running.scale(), color_scale(maps), rtol=1e-3)


def test_order_and_batches_do_not_matter():
    maps = np.random.default_rng(1).uniform(0, 2, (7, 16, 16)).astype(np.float32)
    one, other = RunningScale(), RunningScale()
    one.add(maps)
    for single in maps[::-1]:
        other.add(single)
    assert one.scale() == other.scale()


def test_rounding_below_zero_counts_as_zero():
    running = RunningScale()
    running.add(np.array([-1e-7, -0.0, 0.0, 1e-30], np.float32))
    assert running.scale() == pytest.approx((0, 0), abs=1e-29)


def test_one_value_is_a_scale_of_itself():
    running = RunningScale()
    running.add(np.full((4, 4), 0.25, np.float32))
    assert running.scale() == pytest.approx((0.25, 0.25), rel=5e-4)
