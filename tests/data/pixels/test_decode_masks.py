"""Thresholds of masks, after the resize."""

from pathlib import Path

import numpy as np
import pytest
from image_writers import S, save
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_mask
from rdvar_jax.data.pixels.image_file import image_dimensions


def test_thresholds(tmp_path: Path):
    values = np.zeros((S, S), np.uint8)
    values[0, :6] = 0, 1, 127, 128, 254, 255
    path = save(tmp_path / "a_mask.png", values)
    half = decode_mask(path, S, (S, S))
    assert half[0, :6].tolist() == [False, False, False, True, True, True]
    np.testing.assert_array_equal(half, values / 255 > 0.5)
    np.testing.assert_array_equal(decode_mask(path, S, (S, S), "any"), values > 0)
    with pytest.raises(ValueError, match="most"):
        decode_mask(path, S, (S, S), "most")


def test_a_mask_is_resized_before_it_is_thresholded(tmp_path: Path):
    values = np.zeros((4 * S, 4 * S), np.uint8)
    values[8:20, 12:21] = 255
    path = save(tmp_path / "a_mask.png", values)
    with Image.open(path) as image:
        resized = np.asarray(image.resize((S, S), Image.Resampling.BILINEAR)) / 255
    half, some = decode_mask(path, S, None), decode_mask(path, S, None, "any")
    np.testing.assert_array_equal(half, resized > 0.5)
    np.testing.assert_array_equal(some, resized > 0)
    assert 0 < half.sum() < some.sum()


@pytest.mark.real_data
@pytest.mark.parametrize("threshold", ["half", "any"])
def test_real_mask(shared: Path, threshold: str):
    folder = shared / "data/originals/bottle"
    path = folder / "ground_truth/broken_large/006_mask.png"
    with Image.open(path) as image:
        resized = np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR)) / 255
    image_path = folder / "test/broken_large/006.png"
    mask = decode_mask(path, 256, image_dimensions(image_path), threshold)
    np.testing.assert_array_equal(mask, resized > {"half": 0.5, "any": 0}[threshold])
    assert mask.any()
