"""Grey of more than 8 bits: scaled by the full scale, and what is said of a set of it."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_writers import S, random_pixels, save, write_png, write_tiff
from PIL import Image

from rdvar_jax.data.loading.arrays import load_train
from rdvar_jax.data.loading.full_scale import decide_full_scale
from rdvar_jax.data.loading.load_category import load_category
from rdvar_jax.data.loading.on_disk import ImagesOnDisk
from rdvar_jax.data.pixels.decode import (
    FileFacts,
    decode_file,
    decode_image,
    decode_mask,
    decode_original,
)
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import read_8_bit
from rdvar_jax.data.pixels.levels import Levels, fitting_full_scale
from rdvar_jax.data.pixels.reading import MAX_FULL_SCALE, Reading, as_reading, reading_problems
from rdvar_jax.data.pixels.set_remarks import SetRemarks, aspects_of
from rdvar_jax.data.sets.inputs import InputImage, decode_batches
from rdvar_jax.data.sets.records import Category, ImageRecord
from rdvar_jax.errors import DataError


def geometry(full_scale: int | None, mode: str = "squash") -> Geometry:
    return Geometry(mode, S, S, reading=Reading(full_scale))


def expected(values: np.ndarray, full_scale: int) -> np.ndarray:
    """The 8-bit image of the same brightness, in colour."""
    scaled = np.floor(np.minimum(values, full_scale) * 255.0 / full_scale + 0.5)
    return np.repeat(scaled[..., None], 3, 2).astype(np.uint8)


def write(path: Path, values: np.ndarray, kind: str) -> Path:
    if kind == "png":
        return write_png(path, values, 16, 0)
    tifffile.imwrite(
        path,
        values.astype(kind[-2:]),
        photometric="minisblack",
        byteorder=">" if kind.startswith(">") else "<",
        compression="zlib" if kind.startswith("zip") else None,
    )
    return path


# The highest value that a file of this kind can hold.
KINDS = {"png": 65535, "u2": 65535, ">u2": 65535, "zipu2": 65535, "i2": 32767, "i4": 2**31 - 1}
KINDS |= {"u4": 2**32 - 1, "zipu4": 2**32 - 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full_scale", [255, 1023, 4095, 16383, 65535, 1000000, 2**32 - 1])
def test_values_of_fewer_bits_are_as_bright_as_8_bits(tmp_path: Path, kind: str, full_scale: int):
    highest = min(full_scale, KINDS[kind])
    values = random_pixels(S, S, high=highest + 1)
    values[0, :2] = 0, highest
    path = write(tmp_path / f"a.{'png' if kind == 'png' else 'tif'}", values, kind)
    pixels, facts = decode_file(path, geometry(full_scale))
    np.testing.assert_array_equal(pixels, expected(values, full_scale))
    np.testing.assert_array_equal(decode_original(path, Reading(full_scale)), pixels)
    assert facts == FileFacts((S, S), Levels(highest, full_scale))


def test_without_the_setting_the_type_decides(tmp_path: Path):
    values = random_pixels(S, S, high=4096)
    for kind in ("png", "u2", "i2", "i4", "u4"):
        path = write(tmp_path / f"a.{'png' if kind == 'png' else 'tif'}", values, kind)
        np.testing.assert_array_equal(decode_image(path, S), expected(values, 65535))


def test_a_file_of_8_bits_has_its_own_full_scale(tmp_path: Path):
    for name, pixels in (("grey", random_pixels(S, S)), ("rgb", random_pixels(S, S, 3))):
        path = save(tmp_path / f"{name}.png", pixels)
        found, facts = decode_file(path, geometry(1023))
        np.testing.assert_array_equal(found, decode_image(path, S))
        assert facts.levels is None


def test_values_above_the_full_scale_are_white(tmp_path: Path):
    values = np.array([[0, 1023, 1024, 4095]] * 4)
    pixels, facts = decode_file(
        write(tmp_path / "a.png", values, "png"), Geometry("squash", 4, 4, reading=Reading(1023))
    )
    assert pixels[0, :, 0].tolist() == [0, 255, 255, 255]
    assert facts.levels == Levels(4095, 1023)


def test_wide_values_need_the_setting(tmp_path: Path):
    path = write(tmp_path / "a.tif", np.full((S, S), 70000), "u4")
    with pytest.raises(DataError) as caught:
        decode_image(path, S)
    assert str(caught.value) == (
        f"{path} holds grey values up to 70000, above 65535; save it with 8 or 16 bits, or, for "
        "images, train with data.full_scale=131071."
    )


def test_a_mask_is_not_scaled_by_the_full_scale_of_images(tmp_path: Path):
    values = np.zeros((S, S), int)
    values[0] = 65535
    path = write(tmp_path / "a.png", values, "png")
    for full_scale in (None, 255, 2**32 - 1):
        assert decode_mask(path, geometry(full_scale), None)[0].all()
        assert not decode_mask(path, geometry(full_scale), None)[1:].any()
    low = write(tmp_path / "low.png", values // 16, "png")
    assert not decode_mask(low, geometry(4095), None).any()


def test_an_image_on_disk_is_read_like_one_in_memory(tmp_path: Path):
    values = random_pixels(S, S, high=4096)
    path = write(tmp_path / "a.png", values, "png")
    images = ImagesOnDisk([InputImage(path, "a.png")], geometry(4095))
    for one in (images, pickle.loads(pickle.dumps(images)), images.only([0])):
        np.testing.assert_array_equal(one[0], expected(values, 4095))
    ((_, pixels),) = decode_batches([InputImage(path, "a.png")], geometry(4095), 4)
    np.testing.assert_array_equal(pixels[0], expected(values, 4095))


@pytest.mark.parametrize(
    ("highest", "fitting"),
    [(0, 255), (255, 255), (256, 1023), (1023, 1023), (4012, 4095), (4096, 16383), (16384, 65535)]
    + [(65535, 65535), (65536, 131071), (2**20, 2**21 - 1), (2**32 - 1, 2**32 - 1)],
)
def test_the_fewest_bits_that_hold_a_value(highest: int, fitting: int):
    assert fitting_full_scale(highest) == fitting


# --- auto --------------------------------------------------------------------------------------


def records(folder: Path, *highest: int) -> list[InputImage]:
    found = []
    for number, value in enumerate(highest):
        values = np.zeros((S, S), int)
        values[0, 0] = value
        path = write(folder / f"{number}.png", values, "png")
        found.append(InputImage(path, path.name))
    return found


def test_auto_is_decided_by_the_brightest_image(tmp_path: Path, caplog):
    caplog.set_level(logging.INFO, "rdvar_jax")
    found = records(tmp_path, 100, 3900, 1200)
    rgb = InputImage(save(tmp_path / "c.png", random_pixels(S, S, 3)), "c.png")
    assert decide_full_scale("auto", [*found, rgb], 10**6, progress=False) == 4095
    assert "data.full_scale=auto: 4095, since the highest value is 3900" in caplog.text
    assert decide_full_scale("auto", [rgb], 10**6, progress=False) == "type"
    for given in ("type", 1023):
        assert decide_full_scale(given, found, 10**6) == given


def test_auto_leaves_bad_files_to_who_loads_them_and_takes_wide_ones(tmp_path: Path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    bad = InputImage(tmp_path / "bad.png", "bad.png")
    wide = InputImage(write(tmp_path / "w.tif", np.full((S, S), 2**32 - 5), "u4"), "w.tif")
    assert decide_full_scale("auto", [bad, wide], 10**6, progress=False) == MAX_FULL_SCALE
    assert decide_full_scale("auto", [bad], 10**6, progress=False) == "type"


def test_auto_in_python_is_a_number_in_the_settings(tmp_path: Path):
    (tmp_path / "part" / "good").mkdir(parents=True)
    records(tmp_path / "part" / "good", 900, 1000)
    parts = load_category(tmp_path / "part", image_size=S, full_scale="auto", progress=False)
    assert parts.train.settings["full_scale"] == 1023
    assert parts.train.images[1, 0, 0, 0] == round(1000 * 255 / 1023)


@pytest.mark.parametrize("wrong", [0, -1, 2**32, "Auto", "4095", ""])
def test_a_wrong_setting_is_named(wrong):
    (problem,) = reading_problems(wrong, 1)
    assert problem.startswith(f"data.full_scale={wrong} must be type, auto, or the grey value")
    assert reading_problems("type", 0) == ["data.max_pixels=0 must be at least 1."]
    assert reading_problems("auto", 1) == reading_problems(4095, 1) == []
    with pytest.raises(ValueError):
        as_reading("auto", 1)


# --- remarks -----------------------------------------------------------------------------------


def remarks_of(*levels: Levels | None, full_scale: int | None = None) -> list[str]:
    remarks = SetRemarks("training images", geometry(full_scale))
    for number, one in enumerate(levels):
        remarks.note(f"{number}.png", FileFacts((S, S), one))
    return remarks.new()


def test_a_set_that_reaches_no_eighth_of_the_full_scale_is_named():
    assert remarks_of(Levels(4012, 65535), Levels(90, 65535), None) == [
        "No 16-bit grey value of the training images reaches an eighth of the full scale 65535: "
        "the highest is 4012, so they are almost black; train with data.full_scale=4095, or auto."
    ]
    assert remarks_of(Levels(200, 4095), full_scale=4095) == [
        "No 16-bit grey value of the training images reaches an eighth of data.full_scale=4095: "
        "the highest is 200, so they are almost black; train with data.full_scale=255, or auto."
    ]
    assert remarks_of(Levels(4012, 65535), Levels(8192, 65535)) == []  # an eighth
    assert len(remarks_of(Levels(8191, 65535))) == 1
    assert remarks_of(Levels(600, 4095)) == []  # a TIFF of 12 bits
    assert remarks_of(Levels(20, 255), full_scale=255) == []  # no fewer bits
    assert remarks_of(None) == remarks_of() == []


def test_values_above_the_full_scale_are_named():
    levels = Levels(900, 1023), Levels(4095, 1023), Levels(1024, 1023)
    assert remarks_of(*levels, full_scale=1023) == [
        "2 of the training images hold grey values above data.full_scale=1023, up to 4095, which "
        "count as white, such as 1.png; train with data.full_scale=4095, unless they are "
        "overexposed."
    ]


def test_dark_16_bit_colour_is_named_too(tmp_path: Path):
    dark, bright = random_pixels(S, S, 3, high=4096), random_pixels(S, S, 3, high=65536)
    said = (
        "No 16-bit colour value of the images reaches an eighth of 65535, so they are almost "
        "black, and data.full_scale is for grey alone; save them with 8 bits."
    )
    for number, (pixels, expected_remarks) in enumerate(((dark, [said]), (bright, []))):
        tiff = tmp_path / f"{number}.tif"
        write_tiff(tiff, pixels.astype("<u2").tobytes(), (16, 16, 16), 2)
        rgba = write_png(tmp_path / f"{number}a.png", np.dstack([pixels, bright[..., 0]]), 16, 6)
        for path in (write_png(tmp_path / f"{number}.png", pixels, 16, 2), tiff, rgba):
            remarks = SetRemarks("images", geometry(4095))
            remarks.note(path, decode_file(path, geometry(4095))[1])
            assert remarks.new() == expected_remarks, path


def test_each_remark_is_made_once():
    remarks = SetRemarks("images", geometry(1023), (1.0, 1.0))
    assert remarks.new() == []
    remarks.note("a.png", FileFacts((64, 32), Levels(2000, 1023)))
    remarks.note("a.png", FileFacts((64, 32), Levels(2000, 1023)))  # scored a second time
    above, aspect = remarks.new()
    assert above.startswith("1 of the images hold")
    assert aspect.startswith("1 of the images have another aspect")
    remarks.note("b.png", FileFacts((64, 32), Levels(2000, 1023)))
    assert remarks.new() == []


@pytest.mark.parametrize("on_disk", [False, True])
def test_loading_a_set_says_it_once(tmp_path: Path, caplog, on_disk: bool):
    found = tuple(
        ImageRecord(image.path, image.name, 0, "good", None)
        for image in records(tmp_path, *[4000] * 70)
    )
    category = Category("part", tmp_path, train=found, test=())
    budget = 0 if on_disk else 10**9
    loaded = load_train(category, S, memory_budget=budget, progress=False)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.endswith("almost black; train with data.full_scale=4095, or auto.")
    assert loaded.aspects == (1.0, 1.0)
    caplog.clear()
    load_train(category, geometry(4095), memory_budget=budget, progress=False)
    assert not caplog.records


# --- aspect ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["squash", "pad", "crop", "tile"])
def test_another_aspect_than_that_of_training(mode: str):
    remarks = SetRemarks("images", geometry(None, mode), (1.5, 1.5))
    for size_wh in ((150, 100), (164, 100), (136, 99)):  # within a tenth
        remarks.note("near.png", FileFacts(size_wh, None))
    assert remarks.new() == []
    remarks.note("far.png", FileFacts((100, 150), None))
    how = {"squash": "squashed", "pad": "padded"}.get(mode)
    sentence = (
        f"1 of the images have another aspect than the training images (width by height 1.5), so "
        f"they are {how} differently and may look defective, such as far.png of 100x150; crop them "
        "to that aspect, or train on images like them."
    )
    assert remarks.new() == ([sentence] if how else [])


def test_aspects_of_mixed_sizes_are_a_range_and_unknown_ones_say_nothing():
    assert aspects_of([(10, 10), (20, 10), (10, 5)]) == (1.0, 2.0)
    assert aspects_of([]) is None
    remarks = SetRemarks("images", geometry(None), aspects_of([(10, 10), (20, 10)]))
    remarks.note("between.png", FileFacts((15, 10), None))
    assert remarks.new() == []
    remarks.note("far.png", FileFacts((30, 10), None))
    assert "(width by height 1 to 2)" in remarks.new()[0]
    remarks = SetRemarks("images", geometry(None))
    remarks.note("far.png", FileFacts((300, 10), None))
    assert remarks.new() == []


def test_a_picture_of_pillows_has_levels_too():
    picture = Image.fromarray(random_pixels(S, S, high=4096).astype(np.uint16))
    scaled, levels = read_8_bit(picture, "image 0", "RGB", Reading(4095))
    np.testing.assert_array_equal(np.asarray(scaled), expected(np.asarray(picture), 4095))
    assert levels == Levels(int(np.asarray(picture).max()), 4095)
