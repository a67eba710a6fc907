"""Resizing of images, by hand, by Pillow and on real sets."""

from pathlib import Path

import numpy as np
import pytest
from image_writers import S, random_pixels, save
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.data.pixels.image_file import image_dimensions

BITS = random_pixels(S, S, high=2)


def bilevel(path: Path) -> Path:
    Image.fromarray(BITS.astype(bool)).save(path)
    return path


def test_resize_is_antialiased_and_stretches(tmp_path: Path):
    # Stripes of one pixel become an even grey; without antialiasing they would stay black or white.
    stripes = np.zeros((64, 128), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode_image(save(tmp_path / "a.png", stripes), 16)
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - 127).max() <= 12


def test_resize_to_half_by_hand(tmp_path: Path):
    # Twice smaller: a triangle over four pixels, weights 1 3 3 1, renormalised at the edges.
    row = np.array([0, 80, 240, 40, 0, 200, 120, 160])
    pixels = decode_image(save(tmp_path / "a.png", np.tile(row, (8, 1))), 4)
    weights = np.array([1, 3, 3, 1])
    padded = np.concatenate([[0], row, [0]])
    valid_mask = np.concatenate([[0], np.ones(8), [0]])
    sums = [padded[i : i + 4] @ weights for i in range(0, 8, 2)]
    norms = [valid_mask[i : i + 4] @ weights for i in range(0, 8, 2)]
    expected = np.rint(np.divide(sums, norms))
    np.testing.assert_array_equal(pixels[:, :, 0], np.tile(expected, (4, 1)))


def test_palettes_and_bits_are_resized_as_colours(tmp_path: Path):
    # Pillow resizes modes P and 1 to the nearest pixel, so the conversion has to come first.
    path = bilevel(tmp_path / "a.png")
    assert len(np.unique(decode_image(path, 5))) > 2


REAL_IMAGES = [
    "screw/train/good/000.png",
    "screw/test/thread_top/000.png",
    "bottle/test/broken_large/006.png",
    "capsule/test/crack/001.png",
    "metal_nut/test/bent/000.png",
]


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL_IMAGES)
@pytest.mark.parametrize("size", [256, 64])
def test_resize_of_real_images_is_pillows(shared: Path, name: str, size: int):
    path = shared / "data/originals" / name
    with Image.open(path) as image:
        expected = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        assert image_dimensions(path) == image.size
    np.testing.assert_array_equal(decode_image(path, size), np.asarray(expected))


@pytest.mark.real_data
def test_real_originals_give_the_set_that_was_resized_before(shared: Path):
    originals = shared / "data/originals/screw"
    compared = 0
    for path in sorted(originals.glob("t*/*/*.png")):
        resized = shared / "data/mvtec_256/screw" / path.relative_to(originals)
        np.testing.assert_array_equal(decode_image(path, 256), decode_image(resized, 256))
        compared += 1
    assert compared == 6
