"""Scoring functions of a saved state."""

import numpy as np
import pytest

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.runs.saved_run import tiled
from rdvar_jax.scoring.pooling import Pooling


def of_channel_0(images: np.ndarray, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Maps that are the first channel, and scores that no whole image has."""
    return images[..., 0].astype(np.float32), np.full(len(images), -1, np.float32)


@pytest.mark.parametrize("pooling", ["max", 0.01, 1.0])
def test_a_score_of_a_tiled_image_is_that_of_its_whole_map(pooling: Pooling):
    images = np.random.default_rng(0).integers(0, 256, (3, 100, 150, 3), dtype=np.uint8)
    score = tiled(of_channel_0, Geometry("tile", 64, 64, 0.25), pooling)
    maps, scores = score(images)
    np.testing.assert_array_equal(maps, images[..., 0])
    k = {"max": 1, 0.01: 150, 1.0: 15000}[pooling]
    highest = np.sort(images[..., 0].reshape(3, -1))[:, -k:]
    np.testing.assert_allclose(scores, highest.mean(axis=1), rtol=1e-6)
    assert scores.dtype == np.float32


def test_other_geometries_are_scored_as_they_are():
    assert tiled(of_channel_0, Geometry("pad", 64, 64), 0.1) is of_channel_0
