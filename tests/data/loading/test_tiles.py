"""Tiles of an image, and the stitching of their maps."""

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.loading import tiles as tiles_module
from rdvar_jax.data.loading.tiles import (
    common_size,
    count_inputs,
    cut_all,
    maps_in_tiles,
    own_size,
    stitch,
    tile_places,
    tile_starts,
)
from rdvar_jax.data.pixels.decode import decode_images
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.errors import DataError

SHAPES = [(64, 64), (65, 64), (100, 173), (640, 65), (127, 128)]  # of images; tiles are 64 x 64
OVERLAPS = [0.0, 0.25, 0.5, 0.9]


@pytest.mark.parametrize("length", [64, 65, 100, 127, 128, 129, 1000])
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_tiles_cover_a_side_with_the_least_overlap(length, overlap):
    starts = tile_starts(length, 64, overlap)
    assert starts[0] == 0 and starts[-1] == length - 64
    steps = np.diff(starts)
    assert (steps >= 1).all() and (64 - steps >= 64 * overlap).all()
    assert len(steps) == 0 or steps.max() - steps.min() <= 1  # evenly spaced
    # With one tile less, the overlap would be smaller.
    if len(starts) > 2:
        assert 64 - (length - 64) / (len(starts) - 2) < 64 * overlap + 1


def test_known_numbers():
    assert tile_starts(1024, 256, 0.0) == [0, 256, 512, 768]
    assert tile_starts(1024, 256, 0.25) == [0, 192, 384, 576, 768]
    assert tile_starts(256, 256, 0.5) == [0]
    assert len(tile_places((1024, 700), (256, 256), 0.25)) == 5 * 4


def cut_tiles(image: np.ndarray, tile: tuple[int, int], overlap: float) -> np.ndarray:
    return np.stack([image[place] for place in tile_places(image.shape[:2], tile, overlap)])


def test_an_image_that_is_smaller_than_a_tile():
    with pytest.raises(ValueError, match="smaller than a tile"):
        tile_places((64, 63), (64, 64), 0.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_cut_and_stitched_an_image_is_itself(shape, overlap):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    tiles = cut_tiles(image, (64, 64), overlap)
    assert tiles.shape[1:] == (64, 64)
    back = stitch(tiles, shape, (64, 64), overlap)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, image)


def test_overlaps_are_a_weighted_mean_without_a_seam():
    """Two tiles that disagree blend in even steps."""
    maps = np.stack([np.zeros((8, 8)), np.ones((8, 8))])
    stitched = stitch(maps, (8, 12), (8, 8), 0.5)
    np.testing.assert_array_equal(stitched[:, :4], 0)
    np.testing.assert_array_equal(stitched[:, 8:], 1)
    np.testing.assert_allclose(stitched[:, 4:8], np.tile([0.2, 0.4, 0.6, 0.8], (8, 1)), atol=1e-7)


def test_colours_and_sides_are_kept():
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    tiles = cut_tiles(image, (32, 64), 0.25)
    places = tile_places((70, 90), (32, 64), 0.25)
    assert tiles.dtype == np.uint8 and tiles.shape == (len(places), 32, 64, 3)
    for tile, place in zip(tiles, places, strict=True):
        np.testing.assert_array_equal(tile, image[place])


def test_all_tiles_of_all_images():
    images = np.random.default_rng(0).integers(0, 256, (3, 70, 90, 3), dtype=np.uint8)
    geometry = Geometry("tile", 32, 64, 0.25)
    expected = np.concatenate([cut_tiles(image, (32, 64), 0.25) for image in images])
    np.testing.assert_array_equal(cut_all(images, geometry), expected)


def test_files_are_counted_in_tiles_and_must_be_large_enough(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (90, 70)).save(path)
    records = [ImageRecord(path, "a.png", 0, "good", None)] * 3
    geometry = Geometry("tile", 32, 64, 0.25)
    assert count_inputs(records, geometry) == 3 * len(tile_places((70, 90), (32, 64), 0.25))
    assert count_inputs(records, Geometry("pad", 32, 64)) == 3
    assert count_inputs([], geometry) == 0
    assert own_size(path, geometry) == Geometry("tile", 70, 90)
    with pytest.raises(DataError, match="a.png has 90x70 pixels, fewer than a tile of 128x64"):
        own_size(path, Geometry("tile", 64, 128))


def test_the_tiles_of_one_image_at_a_time():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 100, 150, 3), dtype=np.uint8)
    calls = []

    def score(tiles):
        calls.append(len(tiles))
        maps = tiles[..., 0].astype(np.float32)
        return maps, maps.max(axis=(1, 2))

    maps = maps_in_tiles(score, images, (64, 64), 0.25)
    np.testing.assert_array_equal(maps, images[..., 0])
    assert calls == [2 * 3] * 3


def test_only_some_tiles_are_in_memory_at_once(monkeypatch):
    """A line scan may have thousands."""
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 3000, 3), dtype=np.uint8)
    calls = []

    def score(tiles):
        calls.append(len(tiles))
        return tiles[..., 1].astype(np.float32), None

    monkeypatch.setattr(tiles_module, "_PIXELS_AT_ONCE", 150 * 32 * 32)
    maps = maps_in_tiles(score, image, (32, 32), 0.25)
    np.testing.assert_array_equal(maps, image[..., 1])
    assert calls == [128, 122]  # a multiple of the usual batch sizes, then the rest


def test_images_of_a_set_are_as_large_as_one_another(tmp_path):
    records = []
    for name, size in (("a", (90, 70)), ("b", (90, 70)), ("c", (80, 70))):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", size).save(path)
        records.append(ImageRecord(path, path.name, 0, "good", None))
    (tmp_path / "0.png").write_bytes(b"no image")
    bad = ImageRecord(tmp_path / "0.png", "0.png", 0, "good", None)
    whole = common_size([bad, *records], Geometry("tile", 32, 64))
    assert decode_images(records[:2], whole).shape == (2, 70, 90, 3)
    with pytest.raises(DataError, match="90x70 .*, 80x70 .*another data.geometry than tile"):
        decode_images(records, whole)
    with pytest.raises(DataError, match=r"0.png cannot be recognised"):
        common_size([bad], Geometry("tile", 32, 64))
