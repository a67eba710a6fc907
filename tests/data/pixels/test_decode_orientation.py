"""EXIF orientation of stored pixels."""

from pathlib import Path

import numpy as np
import pytest
from expectations import grey, sixteen_to_eight
from image_writers import S, random_pixels, save
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_image, decode_original
from rdvar_jax.data.pixels.image_file import image_dimensions

WIDE = random_pixels(S, S, high=65536)
WIDE[0, :5] = 0, 128, 129, 65535, 65406  # both ends, and both sides of a rounding


# EXIF orientation n: the transform that turns the stored pixels upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int):
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, :16], stored[:16, 16:], stored[16:] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif[0x112] = orientation
    path = save(tmp_path / f"image.{suffix}", stored, exif=exif)
    upright = UPRIGHT[orientation](stored)
    height, width = upright.shape[:2]
    assert image_dimensions(path) == (width, height)
    expected = Image.fromarray(np.ascontiguousarray(upright)).resize(
        (32, 32), Image.Resampling.BILINEAR
    )
    difference = np.abs(decode_image(path, 32).astype(int) - np.asarray(expected))
    # JPEG at its default quality smears the edges a little; a wrong turn is off by 40 on average.
    assert difference.mean() < (4 if suffix == "jpg" else 1e-9)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_orientation_of_uncompressed_grey_tiff(tmp_path: Path, dtype: type, orientation: int):
    """Pillow maps such a file into memory, and scrambles it where it lies on its side."""
    exif = Image.Exif()
    exif[0x112] = orientation
    stored = random_pixels(6, 10)
    path = tmp_path / "image.tif"
    scale = 1 if dtype is np.uint8 else 257
    Image.fromarray(stored.astype(dtype) * dtype(scale)).save(path, exif=exif)
    np.testing.assert_array_equal(decode_original(path), grey(UPRIGHT[orientation](stored)))


def test_orientation_of_16_bit_grey(tmp_path: Path):
    exif = Image.Exif()
    exif[0x112] = 6
    path = save(tmp_path / "image.png", WIDE.astype(np.uint16), "I;16", exif=exif)
    expected = grey(np.rot90(sixteen_to_eight(WIDE), -1))
    np.testing.assert_array_equal(decode_image(path, S), expected)
