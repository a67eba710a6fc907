"""PNG files, read back by Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.report.png_file import write_png


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    write_png(file, pixels)
    return file.getvalue()


def surface(height: int, width: int) -> np.ndarray:
    """A smooth photograph with a camera's noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(60, 200, (6, 6, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (7, 1), (33, 20), (400, 301), (2, 200_000)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_pixels_are_read_back_as_they_are(size_hw, channels):
    pixels = np.random.default_rng(1).integers(0, 256, (*size_hw, *channels), np.uint8)
    for one in (pixels, pixels & 128, np.full_like(pixels, 255)):
        with Image.open(io.BytesIO(png(one)), formats=["PNG"]) as picture:
            picture.load()
            assert picture.mode == ("RGB" if channels else "L")
            assert np.array_equal(np.asarray(picture), one)


def test_a_view_of_a_larger_array_is_written():
    pixels = surface(60, 80)
    with Image.open(io.BytesIO(png(pixels[10:50, 5:70]))) as picture:
        assert np.array_equal(np.asarray(picture), pixels[10:50, 5:70])


def test_a_photograph_takes_no_more_space_than_pillow_s_fast_level():
    pixels = surface(300, 300)
    of_pillow = io.BytesIO()
    Image.fromarray(pixels).save(of_pillow, "PNG", compress_level=1)
    assert len(png(pixels)) <= 1.05 * len(of_pillow.getvalue())
    assert len(png(np.full((300, 300, 3), 200, np.uint8))) < 3000  # what is flat takes none
