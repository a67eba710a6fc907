"""Flaws drawn on photographs: where they are, and that a seed gives them again."""

import numpy as np
import pytest

from rdvar_jax.synthetic.drawn_flaws import KINDS, draw_flaw
from rdvar_jax.synthetic.draws import Draws


@pytest.mark.parametrize("shape", [(64, 64, 3), (33, 70, 3)])
def test_a_flaw_changes_a_part_of_the_image_and_no_other(shape):
    pixels = np.random.default_rng(0).integers(90, 160, shape, dtype=np.uint8)
    kept, shares = pixels.copy(), []
    for index in range(40):
        flawed = draw_flaw(pixels, Draws(0, index))
        assert flawed.shape == shape and flawed.dtype == np.uint8
        shares.append(np.mean((flawed != pixels).any(axis=2)))
        assert np.array_equal(flawed, draw_flaw(pixels, Draws(0, index)))
    assert np.array_equal(pixels, kept)
    assert max(shares) < 0.7 and np.median(shares) > 0.005
    assert len({round(share, 6) for share in shares}) > 30


def test_flaws_leave_the_range_of_the_image(monkeypatch):
    """What they are for: values that good images do not have."""
    grey = np.full((64, 64, 3), 120, np.uint8)
    flawed = np.stack([draw_flaw(grey, Draws(1, index)) for index in range(60)])
    assert flawed.min() < 40 and flawed.max() > 220
    # Another place of an even image looks the same.
    unchanged = sum(np.array_equal(one, grey) for one in flawed)
    assert 0 < unchanged < 3 * 60 / len(KINDS)
