"""Pixels that never count, from a picture to the maps and the images of a run."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import DataError


def random_pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width)) < 0.02


def touched(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Brute force: whether the part of the picture that a map's pixel shows has a marked pixel."""
    source, target = geometry.boxes(pixels.shape[::-1])
    scale_x = Fraction(source.size_wh[0], target.size_wh[0])
    scale_y = Fraction(source.size_wh[1], target.size_wh[1])
    result = np.zeros((geometry.height, geometry.width), bool)
    for y, x in np.argwhere(pixels):
        for row in range(target.top, target.bottom):
            for column in range(target.left, target.right):
                top = source.top + (row - target.top) * scale_y
                left = source.left + (column - target.left) * scale_x
                result[row, column] |= (
                    top < y + 1 and y < top + scale_y and left < x + 1 and x < left + scale_x
                )
    return result


@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [(32, 32), (40, 100), (23, 19), (7, 61), (3, 5)])
def test_a_pixel_of_the_map_is_ignored_if_any_part_of_it_is(mode, shape):
    geometry = Geometry(mode, 16, 12)
    pixels = random_pixels(*shape)
    pixels[shape[0] // 2, shape[1] // 2] = True  # the centre is in every geometry
    found = IgnoreMask.of(pixels).on_map(geometry)
    np.testing.assert_array_equal(found, touched(pixels, geometry))
    assert 0 < found.sum() < found.size


def test_maps_of_tiled_images_have_the_size_of_their_image():
    geometry = Geometry("tile", 32, 32, 0.25)
    pixels = random_pixels(40, 100)
    mask = IgnoreMask.of(pixels)
    np.testing.assert_array_equal(mask.on_map(geometry, (100, 40)), pixels)
    np.testing.assert_array_equal(mask.on_image(geometry, (40, 100)), pixels)
    doubled = mask.on_map(geometry, (200, 80))
    np.testing.assert_array_equal(doubled, pixels.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [(32, 32), (40, 100), (100, 40), (9, 20)])
def test_on_an_image_all_marked_pixels_are_ignored_and_few_others(mode, shape):
    geometry = Geometry(mode, 32, 32)
    pixels = random_pixels(*shape)
    found = IgnoreMask.of(pixels).on_image(geometry, shape)
    source = geometry.boxes(shape[::-1])[0].slices
    assert pixels[source].any()
    assert found[source][pixels[source]].all()
    outside = found.copy()
    outside[source] = False
    assert not outside.any()
    assert found.sum() < 0.75 * found.size  # a pixel of the map is up to 3.2 of the image's


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_all_but_black_is_ignored(tmp_path, mode):
    grey = np.zeros((6, 9), np.uint8)
    grey[1, 2], grey[3, 4], grey[5, 8] = 1, 128, 255
    if mode == "1":
        grey = np.where(grey > 0, 255, 0).astype(np.uint8)
    path = tmp_path / "ignore.png"
    Image.fromarray(grey).convert(mode).save(path)
    mask = IgnoreMask.read(path)
    assert (mask.height, mask.width) == (6, 9)
    np.testing.assert_array_equal(mask.pixels, grey > 0)
    # The copy in a run is another file with the same content.
    (tmp_path / "copy.png").write_bytes(mask.png())
    copy = IgnoreMask.read(tmp_path / "copy.png")
    assert copy == mask and copy.sha256 == mask.sha256


def test_masks_differ_by_size_and_pixels():
    masks = [np.zeros((8, 16), bool), np.zeros((16, 8), bool), np.eye(8, 16, dtype=bool)]
    assert len({IgnoreMask.of(mask).sha256 for mask in masks}) == len(masks)
    assert len({IgnoreMask.of(mask) for mask in masks}) == len(masks)


def test_a_file_that_is_no_picture(tmp_path):
    path = tmp_path / "ignore.png"
    path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"ignore\.png cannot be recognised"):
        IgnoreMask.read(path)
