"""Scoring functions of a saved state."""

import numpy as np
import pytest

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.saved_run import TrainedRun, tiled
from rdvar_jax.scoring.pooling import Pooling
from rdvar_jax.training.checkpoint import SavedStep


def of_channel_0(images: np.ndarray, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Maps that are the first channel, and scores that no whole image has."""
    return images[..., 0].astype(np.float32), np.full(len(images), -1, np.float32)


@pytest.mark.parametrize("pooling", ["max", 0.01, 1.0])
def test_a_score_of_a_tiled_image_is_that_of_its_whole_map(pooling: Pooling):
    images = np.random.default_rng(0).integers(0, 256, (3, 100, 150, 3), dtype=np.uint8)
    score = tiled(of_channel_0, Geometry("tile", 64, 64, 0.25), pooling, None)
    maps, scores = score(images)
    np.testing.assert_array_equal(maps, images[..., 0])
    k = {"max": 1, 0.01: 150, 1.0: 15000}[pooling]
    highest = np.sort(images[..., 0].reshape(3, -1))[:, -k:]
    np.testing.assert_allclose(scores, highest.mean(axis=1), rtol=1e-6)
    assert scores.dtype == np.float32


def test_ignored_pixels_are_those_of_the_whole_image():
    images = np.random.default_rng(0).integers(0, 256, (2, 100, 150, 3), dtype=np.uint8)
    ignored = np.zeros((100, 150), bool)
    ignored[40:, 10:90] = True
    geometry = Geometry("tile", 64, 64, 0.25)
    ignore = IgnoreMask.of(ignored)
    maps, scores = tiled(of_channel_0, geometry, 0.1, ignore)(images)
    np.testing.assert_array_equal(maps, np.where(ignored, 0, images[..., 0]))
    k = round(0.1 * np.sum(~ignored))
    highest = np.sort(images[..., 0][:, ~ignored])[:, -k:]
    np.testing.assert_allclose(scores, highest.mean(axis=1), rtol=1e-6)
    everything = IgnoreMask.of(np.ones((100, 150), bool))
    with pytest.raises(ConfigError, match="leaves no pixel that counts"):
        tiled(of_channel_0, geometry, 0.1, everything)(images)
    saved = SavedStep(1, 1.0, {}, {}, {})
    run = TrainedRun(of_channel_0, saved, "", "", of_channel_0, geometry, ignore)
    np.testing.assert_array_equal(run.counted(maps), images[..., 0][:, ~ignored])


def test_other_geometries_are_scored_as_they_are():
    assert tiled(of_channel_0, Geometry("pad", 64, 64), 0.1, None) is of_channel_0
