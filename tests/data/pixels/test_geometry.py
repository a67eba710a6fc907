"""Geometry: images to H x W and maps back, against Pillow's functions and by properties."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from rdvar_jax.data.pixels.decode import decode_image, decode_images, decode_mask, decode_masks
from rdvar_jax.data.pixels.geometry import MODES, Geometry, as_geometry
from rdvar_jax.data.sets.records import ImageRecord

FITTED = [mode for mode in MODES if mode != "tile"]  # modes that resize every image to one size
RESULTS = [(64, 64), (64, 96), (96, 64)]
ORIGINALS = [(64, 64), (700, 700), (123, 457), (457, 123), (33, 31), (90, 200)]  # height, width


def noise(height, width, channels=3):
    rng = np.random.default_rng(height * 1000 + width)
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def pillows(image, size_wh):
    """Resizes with Pillow, first the width; in one call its version decides."""
    wide = image.resize((size_wh[0], image.height), Image.Resampling.BILINEAR)
    return wide.resize(size_wh, Image.Resampling.BILINEAR)


def rows_resized(pixels, size):
    """Resizes rows [H, W, 3] to [H, size, 3] by a triangle's weights of 22 bits, rounded."""
    scale = pixels.shape[1] / size
    support = max(scale, 1.0)
    centers = (np.arange(size) + 0.5) * scale
    distance = np.abs(centers[:, None] - (np.arange(pixels.shape[1]) + 0.5)) / support
    weights = np.maximum(1 - distance, 0)
    weights = np.floor(weights / weights.sum(1, keepdims=True) * 2**22 + 0.5).astype(np.int64)
    return (np.einsum("hwc,sw->hsc", pixels, weights) + 2**21) >> 22


@pytest.mark.parametrize("original", ORIGINALS)
def test_the_width_is_resized_before_the_height(original):
    wide = rows_resized(np.asarray(noise(*original), np.int64), 64)
    expected = rows_resized(wide.transpose(1, 0, 2), 96).transpose(1, 0, 2)
    ours = Geometry("squash", 96, 64).apply_image(noise(*original))
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("original", ORIGINALS)
def test_squash_is_pillows_resize(result, original):
    height, width = result
    image = noise(*original)
    expected = np.array(pillows(image, (width, height)))
    np.testing.assert_array_equal(Geometry("squash", height, width).apply_image(image), expected)


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("original", ORIGINALS)
def test_pad_is_pillows_pad(result, original):
    height, width = result
    image, mask = noise(*original), noise(*original, channels=1)
    geometry = Geometry("pad", height, width)
    padded = ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR, (124, 116, 104))
    box = geometry.boxes(image.size)[1]
    # Pillow rounds half a pixel of padding up, ours rounds it down.
    if box.left + box.right == width and box.top + box.bottom == height:
        # Rounded after the other axis where Pillow resizes a tall image's height first.
        np.testing.assert_allclose(geometry.apply_image(image), np.asarray(padded, float), atol=1)
    valid_mask = geometry.valid_mask(image.size)
    resized = np.array(pillows(image, box.size_wh))
    np.testing.assert_array_equal(geometry.apply_image(image)[valid_mask], resized.reshape(-1, 3))
    assert (geometry.apply_image(image)[~valid_mask] == (124, 116, 104)).all()
    assert (geometry.apply_mask(mask)[~valid_mask] == 0).all()


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("original", ORIGINALS)
def test_crop_is_the_largest_part_in_the_middle(result, original):
    height, width = result
    image = noise(*original)
    geometry = Geometry("crop", height, width)
    box = geometry.boxes(image.size)[0]
    assert box.size_wh[0] == original[1] or box.size_wh[1] == original[0]
    # Its aspect is the result's up to half a pixel of the image.
    assert abs(box.size_wh[0] * height / width - box.size_wh[1]) <= max(0.5, 0.5 * height / width)
    assert abs(box.left - (original[1] - box.right)) <= 1
    assert abs(box.top - (original[0] - box.bottom)) <= 1
    # At its edge the part sees a little of what is around it, which Pillow's own crop cuts off.
    expected = np.array(image.crop(box).resize((width, height), Image.Resampling.BILINEAR))
    ours = geometry.apply_image(image)
    np.testing.assert_allclose(ours[2:-2, 2:-2], expected[2:-2, 2:-2].astype(float), atol=1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("original", ORIGINALS)
def test_a_point_comes_back_to_its_place(mode, result, original):
    geometry = Geometry(mode, *result)
    source, target = geometry.boxes((original[1], original[0]))
    scale = np.array(source.size_wh[::-1]) / target.size_wh[::-1]  # image's pixels a model pixel
    rng = np.random.default_rng(0)
    for _ in range(5):
        row = int(rng.integers(source.top, source.bottom))
        column = int(rng.integers(source.left, source.right))
        point = np.zeros(original, np.uint8)
        # As large as a pixel of the result, or it would vanish when it is rounded to uint8.
        half = np.ceil(scale / 2).astype(int)
        point[
            max(0, row - half[0]) : row + half[0] + 1,
            max(0, column - half[1]) : column + half[1] + 1,
        ] = 255
        seen = geometry.apply_mask(Image.fromarray(point))
        back = geometry.to_original(seen.astype(np.float32), original)
        assert back.shape == original and back.dtype == np.float32
        highest = np.argwhere(back == np.nanmax(back)).mean(axis=0)
        assert (np.abs(highest - (row, column)) <= np.maximum(scale, 1)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("result", [(128, 128), (96, 160)])
@pytest.mark.parametrize("original", [(700, 700), (333, 512), (512, 333)])
def test_a_mask_comes_back_onto_itself(mode, result, original):
    rows, columns = np.mgrid[: original[0], : original[1]]
    disc = np.hypot(rows - original[0] * 0.55, columns - original[1] * 0.45) < min(original) / 6
    geometry = Geometry(mode, *result)
    seen = geometry.apply_mask(Image.fromarray(disc.astype(np.uint8) * 255)) > 127
    back = geometry.to_original(seen.astype(np.float32), original, outside=0.0) > 0.5
    overlap = (back & disc).sum() / (back | disc).sum()
    assert overlap > 0.93


@pytest.mark.parametrize("original", [(50, 200), (200, 50)])
def test_what_was_cropped_away_is_unknown(original):
    geometry = Geometry("crop", 64, 64)
    back = geometry.to_original(np.ones((64, 64), np.float32), original)
    source, _ = geometry.boxes((original[1], original[0]))
    assert np.isnan(back).sum() == 50 * 200 - 50 * 50
    np.testing.assert_array_equal(back[source.slices], 1)
    zero = geometry.to_original(np.ones((64, 64), np.float32), original, outside=0.0)
    assert zero.sum() == 50 * 50


def test_what_lies_in_a_border_does_not_come_back():
    geometry = Geometry("pad", 64, 64)
    size_wh = (200, 100)
    border = np.where(geometry.valid_mask(size_wh), 0.0, 9.0)
    assert (geometry.to_original(border, (100, 200)) == 0).all()


@pytest.mark.parametrize("mode", FITTED)
@pytest.mark.parametrize("original", [(1, 5000), (5000, 1), (1, 1)])
def test_extreme_aspects(mode, original):
    geometry = Geometry(mode, 64, 32)
    assert geometry.apply_image(noise(*original)).shape == (64, 32, 3)
    back = geometry.to_original(np.ones((64, 32)), original)
    assert back.shape == original and np.nanmax(back) == 1


def test_sizes_are_geometries():
    assert as_geometry(32) == Geometry("squash", 32, 32)
    assert as_geometry((32, 64)) == Geometry("squash", 32, 64)
    assert as_geometry(Geometry("pad", 32, 64)) == Geometry("pad", 32, 64)
    with pytest.raises(ValueError, match="one of squash, crop, pad"):
        Geometry("stretch", 32, 32)
    with pytest.raises(ValueError, match="overlap must be"):
        Geometry("tile", 32, 32, overlap=1.0)


def test_tiled_images_keep_their_size():
    geometry, image = Geometry("tile", 32, 64, 0.25), noise(100, 173)
    assert geometry.shape_of((173, 100)) == (100, 173)
    np.testing.assert_array_equal(geometry.apply_image(image), image)
    values = np.random.default_rng(0).random((100, 173)).astype(np.float32)
    np.testing.assert_array_equal(geometry.to_original(values, (100, 173)), values)


@pytest.mark.parametrize("mode", FITTED)
def test_files_are_decoded_by_it(tmp_path, mode):
    """Image and mask are mapped alike: where the image is white, the mask is True."""
    white = np.zeros((60, 100), np.uint8)
    white[20:40, 30:70] = 255
    Image.fromarray(white).convert("RGB").save(tmp_path / "image.png")
    Image.fromarray(white).save(tmp_path / "mask.png")
    geometry = Geometry(mode, 32, 64)
    image = decode_image(tmp_path / "image.png", geometry)
    mask = decode_mask(tmp_path / "mask.png", geometry, (100, 60))
    assert image.shape == (32, 64, 3) and mask.shape == (32, 64)
    valid_mask = geometry.valid_mask((100, 60))
    np.testing.assert_array_equal(image[..., 0][valid_mask] > 127, mask[valid_mask])
    assert mask.any() and not mask[~valid_mask].any()
    path = tmp_path / "image.png"
    record = ImageRecord(path, "image.png", 1, "spot", tmp_path / "mask.png")
    np.testing.assert_array_equal(decode_images([record], geometry)[0], image)
    np.testing.assert_array_equal(decode_masks([record], geometry)[0], mask)


def test_a_defect_that_is_cropped_away_is_named(tmp_path, caplog):
    mask = np.zeros((60, 200), np.uint8)
    mask[:, :20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask).save(tmp_path / "image.png")
    record = ImageRecord(tmp_path / "image.png", "image.png", 1, "spot", tmp_path / "mask.png")
    assert not decode_masks([record], Geometry("crop", 32, 32)).any()
    assert "mask.png is empty once it is resized to 32x32" in caplog.text


@pytest.mark.real_data
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("result", [(256, 256), (256, 384)])
def test_real_masks_come_back_onto_themselves(shared, mode, result):
    """700 to 1024 pixels a side; the smallest defect has 2810 pixels, some 180 of the result."""
    folder = shared / "data" / "originals"
    masks = sorted(folder.glob("*/ground_truth/*/*_mask.png"))
    assert len(masks) == 7
    geometry = Geometry(mode, *result)
    for path in masks:
        with Image.open(path) as file:
            original = np.array(file.convert("L")) > 127
        seen = decode_mask(path, geometry, original.shape[::-1])
        back = geometry.to_original(seen.astype(np.float32), original.shape)
        known = ~np.isnan(back)
        found, expected = back > 0.5, original & known
        assert expected.any()
        assert (found & expected).sum() / (found | expected).sum() > 0.94
