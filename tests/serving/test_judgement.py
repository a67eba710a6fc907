"""The verdict of one image: no region is missed where the map is not resized."""

import numpy as np
import pytest

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import map_on_image
from rdvar_jax.serving.judgement import MAX_REGIONS, Thresholds, judge


@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
def test_resizing_makes_nothing_higher(mode):
    geometry, rng = Geometry(mode, 16, 24), np.random.default_rng(0)
    for shape in ((16, 24), (7, 9), (100, 33), (31, 250)):
        anomaly_map = rng.random((16, 24), dtype=np.float32)
        full = map_on_image(anomaly_map, geometry, shape, None)
        assert full.max() <= anomaly_map.max()
        at_its_maximum = Thresholds(0.5, float(anomaly_map.max()))
        assert not at_its_maximum.may_have_regions(anomaly_map)
        without, with_it = (judge(anomaly_map, x, 0.9, at_its_maximum) for x in (None, full))
        assert (without.verdict, without.num_regions, without.regions) == (
            with_it.verdict,
            with_it.num_regions,
            with_it.regions,
        )


def test_regions_are_counted_and_the_highest_are_listed():
    dots = np.zeros((32, 32), np.float32)
    dots[::2, ::2] = np.linspace(1, 2, 256, dtype=np.float32).reshape(16, 16)
    found = judge(dots, dots, 2.0, Thresholds(0.5, 0.5))
    assert (found.verdict, found.num_regions, len(found.regions)) == ("defective", 256, MAX_REGIONS)
    assert found.regions[0] == {"box": (30, 30, 31, 31), "area": 1, "score": 2.0}
    small = judge(dots, dots, 2.0, Thresholds(0.5, 0.5, min_area=2))
    assert (small.verdict, small.num_regions) == ("good", 0)


def test_without_thresholds_nothing_is_said():
    anomaly_map = np.ones((4, 4), np.float32)
    assert not Thresholds().may_have_regions(anomaly_map)
    found = judge(anomaly_map, None, 1.0, Thresholds())
    assert (found.verdict, found.above, found.num_regions, found.regions) == (None,) * 4
    assert judge(anomaly_map, None, float("nan"), Thresholds(0.5)).verdict == "defective"
