"""Masks whose EXIF orientation differs from their image's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from rdvar_jax.data.pixels.decode import decode_mask, decode_masks
from rdvar_jax.data.pixels.image_file import image_dimensions, load_image
from rdvar_jax.data.pixels.mask_file import load_mask
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.errors import DataError

STORED = np.zeros((24, 40), np.uint8)  # how the camera stores it
STORED[3:9, 5:25] = 255
SIDEWAYS = (5, 6, 7, 8)
# EXIF orientation: the transform that turns stored pixels upright.
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


def save(path: Path, pixels: np.ndarray, orientation: int = 1) -> Path:
    exif = Image.Exif()
    if orientation != 1:
        exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_mask_is_turned_by_its_own_orientation_its_images_or_not(tmp_path, orientation, suffix):
    other = 6 if orientation != 6 else 3
    image = save(tmp_path / "image.png", STORED, other)
    mask = save(tmp_path / f"mask.{suffix}", STORED, orientation)
    for setting, turn in (("own", orientation), ("image", other), ("upright", 1)):
        found = load_mask(mask, image_path=image, orientation=setting)
        np.testing.assert_array_equal(np.asarray(found.grey), UPRIGHT[turn](STORED))
        assert found.orientation == orientation


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize(
    ("of_image", "of_mask", "mask_is_upright", "setting", "cause"),
    [
        (6, 1, False, "image", "the image is turned by its EXIF orientation 6 and the mask is not"),
        (8, 3, False, "image", "the image is turned by its EXIF orientation 8 and the mask is not"),
        (1, 6, False, "image", "the mask is turned by its EXIF orientation 6 and the image is not"),
        (6, 6, True, "upright", "both are turned by the EXIF orientation 6"),
    ],
)
def test_swapped_sides_name_exif_and_the_way_out(
    tmp_path, of_image, of_mask, mask_is_upright, setting, cause, suffix
):
    image = save(tmp_path / f"image.{suffix}", STORED, of_image)
    stored = UPRIGHT[of_image](STORED) if mask_is_upright else STORED
    mask = save(tmp_path / "mask.png", stored, of_mask)
    size_wh = image_dimensions(image)
    with pytest.raises(DataError) as caught:
        load_mask(mask, size_wh, image_path=image)
    means = {"image": "stored like their images", "upright": "stored upright"}[setting]
    swapped, right = (f"{w}x{h}" for w, h in (size_wh[::-1], size_wh))
    assert str(caught.value) == (
        f"The mask {mask} has {swapped} pixels but its image {image} has {right}, because {cause}; "
        f"set data.mask_orientation={setting} if masks are {means}, or save both upright, without "
        "EXIF orientation."
    )
    found = load_mask(mask, size_wh, image_path=image, orientation=setting)
    expected = np.asarray(load_image(image)) > 127
    np.testing.assert_array_equal(np.asarray(found.grey) > 127, expected)
    # Back again: with the setting on masks that were right, the sentence names "own".
    right_mask = save(tmp_path / "right.png", UPRIGHT[of_image](STORED))
    if of_image in SIDEWAYS and setting == "image":
        with pytest.raises(DataError, match="both are turned .* data.mask_orientation=upright"):
            load_mask(right_mask, size_wh, image_path=image, orientation=setting)


def test_other_sizes_do_not_speak_of_exif(tmp_path):
    image = save(tmp_path / "image.png", STORED, 6)
    mask = save(tmp_path / "mask.png", STORED[:, :-1])
    with pytest.raises(DataError, match=r"39x24 pixels but .* has 24x40; make both the same size"):
        load_mask(mask, (24, 40), image_path=image)
    bare = save(tmp_path / "bare.png", STORED)
    mask = save(tmp_path / "turned.png", STORED.T)
    with pytest.raises(DataError, match="as if one of them had lost its EXIF orientation; save"):
        load_mask(mask, (40, 24), image_path=bare)
    ignored = save(tmp_path / "ignored.png", STORED.T, 6)
    with pytest.raises(DataError, match="own EXIF orientation 6 is not used; set .*=own if each"):
        load_mask(ignored, (40, 24), image_path=bare, orientation="image")


def test_the_setting_reaches_all_masks_of_a_set(tmp_path):
    image = save(tmp_path / "image.jpg", STORED, 6)
    mask = save(tmp_path / "mask.png", STORED)
    records = [ImageRecord(image, "image.jpg", 1, "bad", mask)]
    with pytest.raises(DataError, match="EXIF orientation 6"):
        decode_masks(records, (40, 24), num_workers=1)
    (found,) = decode_masks(records, (40, 24), orientation="image", num_workers=1)
    np.testing.assert_array_equal(found, UPRIGHT[6](STORED) > 0)
    one = decode_mask(mask, (40, 24), (24, 40), image_path=image, orientation="image")
    np.testing.assert_array_equal(one, found)
