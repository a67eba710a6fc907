"""Rings around regions, against the filter of Pillow that grows a mask by one pixel."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from rdvar_jax.report.outline import draw_outline, rings


def grown(mask: np.ndarray, radius: int) -> np.ndarray:
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    for _ in range(radius):
        picture = picture.filter(ImageFilter.MaxFilter(3))
    return np.asarray(picture) > 0


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 1.0])
@pytest.mark.parametrize("widths", [(1, 1), (2, 1), (3, 8), (7, 5)])
def test_rings_are_what_growing_pixel_by_pixel_adds(density, widths):
    mask = np.random.default_rng(1).random((37, 52)) < density
    first, second = rings(mask, *widths)
    inner, outer = grown(mask, widths[0]), grown(mask, sum(widths))
    assert np.array_equal(first, inner & ~mask)
    assert np.array_equal(second, outer & ~inner)


def test_an_outline_is_drawn_at_the_edge_too_and_nowhere_else():
    rng = np.random.default_rng(2)
    pixels = rng.integers(1, 255, (30, 40, 3), np.uint8)
    mask = np.zeros((30, 40), bool)
    mask[0:4, 35:40] = mask[20:22, 3:9] = True
    drawn = pixels.copy()
    draw_outline(drawn, mask, 2, 1)
    white, black = rings(mask, 2, 1)
    assert (drawn[white] == 255).all() and (drawn[black] == 0).all()
    rest = ~(white | black)
    assert np.array_equal(drawn[rest], pixels[rest])
    draw_outline(drawn := pixels.copy(), np.zeros((30, 40), bool), 2, 1)
    assert np.array_equal(drawn, pixels)
