"""Decoding: every format against its pixels, every bad file against its message."""

import dataclasses
import logging
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from image_writers import S, random_pixels, save, write_png, write_tiff
from PIL import Image

from rdvar_jax.data.pixels import decode
from rdvar_jax.data.pixels.decode import (
    FileFacts,
    decode_image,
    decode_images,
    decode_mask,
    decode_masks,
    decode_original,
)
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.errors import DataError


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2).astype(np.uint8)


def sixteen_to_eight(values: np.ndarray) -> np.ndarray:
    return np.rint(values / 257)


# --- formats ---------------------------------------------------------------------------------

L = random_pixels(S, S)
RGB = random_pixels(S, S, 3)
ALPHA = random_pixels(S, S, 1)
BITS = random_pixels(S, S, high=2)
WIDE = random_pixels(S, S, high=65536)
WIDE[0, :5] = 0, 128, 129, 65535, 65406  # both ends, and both sides of a rounding
WIDE_RGB = random_pixels(S, S, 3, high=65536)
CMYK = random_pixels(S, S, 4)
INDICES = random_pixels(S, S, high=5)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 99, 199], [255, 255, 255]])


def palette_image() -> Image.Image:
    image = Image.fromarray(INDICES.astype(np.uint8)).convert("L")
    image = Image.frombytes("P", (S, S), image.tobytes())
    image.putpalette(COLOURS.astype(np.uint8).tobytes())
    return image


def save_palette(path: Path, **options) -> Path:
    palette_image().save(path, **options)
    return path


def bilevel(path: Path) -> Path:
    Image.fromarray(BITS.astype(bool)).save(path)
    return path


def cmyk_to_rgb(cmyk: np.ndarray) -> np.ndarray:
    return (255 - cmyk[..., :3]) * (255 - cmyk[..., 3:]) / 255


def twelve_bits(values: np.ndarray) -> bytes:
    """Two values in three bytes, the high bits first."""
    a, b = values.reshape(-1, 2).T
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=1).astype(np.uint8).tobytes()


TWELVE = WIDE >> 4
LA, RGBA = np.dstack([L, ALPHA]), np.dstack([RGB, ALPHA])

# file name: (how it is written, the RGB pixels it decodes to)
EXACT_FORMATS: dict[str, tuple[Callable[[Path], Path], np.ndarray]] = {
    **{f"grey.{suffix}": (lambda p: save(p, L), grey(L)) for suffix in ("png", "bmp", "tif")},
    **{f"rgb.{suffix}": (lambda p: save(p, RGB), RGB) for suffix in ("png", "bmp", "tif", "PNG")},
    **{f"bits.{suffix}": (bilevel, grey(BITS * 255)) for suffix in ("png", "bmp", "tif")},
    **{f"palette.{suffix}": (save_palette, COLOURS[INDICES]) for suffix in ("png", "bmp", "tif")},
    **{f"grey_alpha.{suffix}": (lambda p: save(p, LA), grey(L)) for suffix in ("png", "tif")},
    **{f"rgb_alpha.{suffix}": (lambda p: save(p, RGBA), RGB) for suffix in ("png", "tif")},
    "palette_alpha.tif": (
        lambda p: (palette_image().convert("PA").save(p), p)[1],
        COLOURS[INDICES],
    ),
    # A transparent colour or palette entry is a form of alpha, and Pillow warns about the last.
    "grey_key.png": (lambda p: save(p, L, transparency=int(L[0, 0])), grey(L)),
    "rgb_key.png": (lambda p: save(p, RGB, transparency=tuple(map(int, RGB[0, 0]))), RGB),
    "palette_key.png": (lambda p: save_palette(p, transparency=2), COLOURS[INDICES]),
    "palette_keys.png": (
        lambda p: save_palette(p, transparency=bytes([0, 50, 100, 150, 200])),
        COLOURS[INDICES],
    ),
    "compressed.tif": (lambda p: save(p, RGB, compression="tiff_lzw"), RGB),
    "cmyk.tif": (lambda p: save(p, CMYK.astype(np.uint8), "CMYK"), cmyk_to_rgb(CMYK)),
    # 16 bits of grey: both byte orders, and the 32-bit mode that Pillow uses for some files.
    "wide.png": (lambda p: write_png(p, WIDE, 16, 0), grey(sixteen_to_eight(WIDE))),
    "wide_pillow.png": (
        lambda p: save(p, WIDE.astype(np.uint16), "I;16"),
        grey(sixteen_to_eight(WIDE)),
    ),
    "wide_little.tif": (
        lambda p: write_tiff(p, WIDE.astype("<u2").tobytes(), (16,), 1),
        grey(sixteen_to_eight(WIDE)),
    ),
    "wide_big.tif": (
        lambda p: write_tiff(p, WIDE.astype(">u2").tobytes(), (16,), 1, ">"),
        grey(sixteen_to_eight(WIDE)),
    ),
    "wide_in_32.tif": (
        lambda p: save(p, WIDE.astype(np.int32), "I"),
        grey(sixteen_to_eight(WIDE)),
    ),
    "twelve.tif": (
        lambda p: write_tiff(p, twelve_bits(TWELVE), (12,), 1),
        grey(np.rint(TWELVE * (255 / 4095))),
    ),
    # 16 bits of colour: Pillow keeps the high byte.
    "wide_rgb.png": (lambda p: write_png(p, WIDE_RGB, 16, 2), WIDE_RGB >> 8),
    "wide_rgb_alpha.png": (
        lambda p: write_png(p, np.dstack([WIDE_RGB, WIDE]), 16, 6),
        WIDE_RGB >> 8,
    ),
    "wide_grey_alpha.png": (
        lambda p: write_png(p, np.dstack([WIDE, WIDE_RGB[..., 0]]), 16, 4),
        grey(WIDE >> 8),
    ),
    "wide_rgb.tif": (
        lambda p: write_tiff(p, WIDE_RGB.astype("<u2").tobytes(), (16, 16, 16), 2),
        WIDE_RGB >> 8,
    ),
}


@pytest.mark.parametrize("name", EXACT_FORMATS)
def test_pixels_of_every_lossless_format(tmp_path: Path, name: str):
    write, expected = EXACT_FORMATS[name]
    pixels = decode_image(write(tmp_path / name), S)
    assert (pixels.shape, pixels.dtype) == ((S, S, 3), np.uint8)
    assert pixels.flags.writeable
    # Pillow's CMYK conversion rounds twice; everything else is exact.
    tolerance = 1 if name.startswith("cmyk") else 0
    np.testing.assert_allclose(pixels.astype(int), expected, rtol=0, atol=tolerance)
    assert image_dimensions(tmp_path / name) == (S, S)


def opacity_of(name: str) -> np.ndarray | float:
    """What is transparent in a mask is not marked; a transparent colour is not an alpha channel."""
    stem = name.split(".")[0]
    if stem == "palette_key":
        return INDICES != 2
    if stem == "palette_keys":
        return np.array([0, 50, 100, 150, 200])[INDICES] / 255
    wide = {"wide_rgb_alpha": WIDE >> 8, "wide_grey_alpha": WIDE_RGB[..., 0] >> 8}
    alpha = wide.get(stem, ALPHA[..., 0] if stem in ("grey_alpha", "rgb_alpha") else None)
    return 1.0 if alpha is None else alpha / 255


@pytest.mark.parametrize("name", [name for name in EXACT_FORMATS if name.endswith(("png", "tif"))])
def test_masks_may_come_in_every_format_too(tmp_path: Path, name: str):
    write, rgb = EXACT_FORMATS[name]
    mask = decode_mask(write(tmp_path / name), S, None)
    assert (mask.shape, mask.dtype) == ((S, S), np.bool_)
    luma = np.asarray(rgb, float) @ [0.299, 0.587, 0.114] * opacity_of(name)
    clear = np.abs(luma - 127.5) > 2
    assert clear.sum() > S * S / 2
    np.testing.assert_array_equal(mask[clear], (luma > 127.5)[clear])


# JPEG is lossy, so it gets two halves of one colour each, on its blocks of 16, and the two columns
# on each side of the edge are not looked at: chroma is interpolated over it.
JPEG_COLOURS = {
    "L": ([40], [200]),
    "RGB": ([200, 30, 60], [20, 90, 220]),
    "CMYK": ([10, 200, 100, 30], [120, 0, 50, 90]),
}


@pytest.mark.parametrize("mode", JPEG_COLOURS)
@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG"])
def test_pixels_of_jpeg(tmp_path: Path, mode: str, suffix: str):
    left, right = (np.array(colour) for colour in JPEG_COLOURS[mode])
    pixels = np.empty((32, 32, len(left)), np.uint8)
    pixels[:, :16], pixels[:, 16:] = left, right
    path = tmp_path / f"image.{suffix}"
    save(path, pixels[..., 0] if mode == "L" else pixels, mode, quality=95)
    if mode == "CMYK":
        left, right = cmyk_to_rgb(left), cmyk_to_rgb(right)
    decoded = decode_image(path, 32).astype(int)
    assert np.abs(decoded[:, :14] - left).max() <= 3
    assert np.abs(decoded[:, 18:] - right).max() <= 3


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


def test_first_picture_of_a_phone_jpeg(tmp_path: Path):
    photo = Image.new("RGB", (S, S), (200, 10, 10))
    preview = Image.new("RGB", (S, S), (10, 10, 200))
    photo.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    assert decode_image(tmp_path / "a.jpg", S)[0, 0, 0] > 190


# --- resize ----------------------------------------------------------------------------------


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


# --- masks -----------------------------------------------------------------------------------


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


# --- unreadable files ---------------------------------------------------------------------


def check_sentence(error: DataError, *parts: str):
    message = str(error)
    for part in parts:
        assert part in message
    assert message.endswith(".") and "\n" not in message
    assert message.count(". ") == 0, "one sentence"


# 64 pixels: Pillow warns above its limit, and raises above twice that.
@pytest.mark.parametrize(("limit", "pillows"), [(63, None), (63, 1000), (63, 1), (40, 1), (20, 1)])
def test_more_than_max_pixels(tmp_path: Path, monkeypatch, limit: int, pillows: int | None):
    path = save(tmp_path / "bomb.png", L)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
    size = Geometry("squash", S, S, reading=Reading(max_pixels=limit))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an error even where nobody asked for warnings
        for read in (
            lambda: decode_image(path, size),
            lambda: decode_mask(path, size, None),
            lambda: decode_original(path, size.reading),
            lambda: image_dimensions(path, size.reading),
        ):
            with pytest.raises(DataError) as caught:
                read()
            check_sentence(
                caught.value,
                f"{path} has 64 pixels, more than data.max_pixels={limit}; set data.max_pixels=64",
            )
    assert pillows == Image.MAX_IMAGE_PIXELS
    size = Geometry("squash", S, S, reading=Reading(max_pixels=64))
    np.testing.assert_array_equal(decode_image(path, size), grey(L))
    assert pillows == Image.MAX_IMAGE_PIXELS


def test_a_real_bomb_is_stopped_before_it_is_decoded(tmp_path: Path):
    path = tmp_path / "bomb.png"
    write_png(path, np.zeros((1, 1), np.uint8), 8, 0)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 30000, 30000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)
    with pytest.raises(DataError, match="more than data.max_pixels=89478485; set"):
        decode_image(path, S)


def test_a_file_that_must_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Root can read everything, so the error is simulated.
    def refuse(path: Path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError) as caught:
        decode_image(tmp_path / "a.png", S)
    check_sentence(caught.value, str(tmp_path / "a.png"), "permission denied", "grant read access")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "lzw.tif"])
def test_a_file_cut_anywhere_is_an_error_or_whole(tmp_path: Path, name: str):
    options = {"compression": "tiff_lzw"} if name == "lzw.tif" else {}
    path = save(tmp_path / name, RGB, **options)
    whole, expected = path.read_bytes(), decode_image(path, S)
    cut = tmp_path / f"cut_{name}"
    for length in range(0, len(whole), 3):
        cut.write_bytes(whole[:length])
        try:
            pixels = decode_image(cut, S)
        except DataError as error:
            assert str(cut) in str(error)
        else:
            np.testing.assert_array_equal(pixels, expected)


def test_pillows_remarks_on_readable_files_do_not_escape(tmp_path: Path):
    # EXIF that ends too early: Pillow warns, the pixels are whole. Warnings are errors here.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0"
    path = tmp_path / "a.jpg"
    Image.new("RGB", (S, S), (200, 0, 0)).save(path, exif=exif)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with Image.open(path) as image:
            image.getexif()
    assert seen, "the file must be one that Pillow remarks on"
    filters = list(warnings.filters)
    assert decode_image(path, S)[0, 0, 0] > 190
    assert list(warnings.filters) == filters


def test_warning_filters_hold_in_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Overlapping uses of warnings.catch_warnings restore each other's filters. Two threads overlap
    # for certain here: the first leaves while the second, with a bomb, is still inside.
    image = save(tmp_path / "image.png", L)
    bomb = save(tmp_path / "bomb.png", random_pixels(S, S + 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", S)
    size = Geometry("squash", S, S, reading=Reading(max_pixels=S * S))
    both_inside = threading.Barrier(2, timeout=10)
    first_has_left = threading.Event()
    opened = Image.open

    def open_together(path: Path, **options):
        both_inside.wait()
        if path == bomb:
            assert first_has_left.wait(10)
        return opened(path, **options)

    monkeypatch.setattr(Image, "open", open_together)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filters = list(warnings.filters)
        with ThreadPoolExecutor(2) as executor:
            of_image = executor.submit(decode_image, image, size)
            of_image.add_done_callback(lambda _: first_has_left.set())
            of_bomb = executor.submit(decode_image, bomb, size)
            np.testing.assert_array_equal(of_image.result(), grey(L))
            with pytest.raises(DataError, match="has 72 pixels, more than data.max_pixels=64"):
                of_bomb.result()
        assert list(warnings.filters) == filters
        assert Image.MAX_IMAGE_PIXELS == S


# --- many files ------------------------------------------------------------------------------


def record(path: Path, label: int = 0, mask_path: Path | None = None) -> ImageRecord:
    kind = "hole" if label else "good"
    return ImageRecord(path, f"test/{kind}/{path.name}", label, kind, mask_path)


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    images = random_pixels(12, S, S, 3)
    return [record(save(tmp_path / f"{index:02}.png", image)) for index, image in enumerate(images)]


@pytest.mark.parametrize("num_workers", [None, 1, 3, 20])
def test_images_come_in_record_order(records: list[ImageRecord], num_workers: int | None):
    images = decode_images(records, S, num_workers=num_workers)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, random_pixels(12, S, S, 3))


def test_no_images():
    assert decode_images([], S).shape == (0, S, S, 3)
    assert decode_masks([], S).shape == (0, S, S)


def test_the_first_bad_record_is_reported(
    records: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
):
    # Record 7 fails at once, record 4 only after it.
    failed = threading.Event()
    calls = []

    def decode_slowly(path: Path, size: int):
        calls.append(path)
        if path.name == "07.png":
            failed.set()
            raise DataError("seven.")
        if path.name == "04.png":
            assert failed.wait(10)
            raise DataError("four.")
        return np.zeros((S, S, 3), np.uint8), FileFacts((S, S), None)

    monkeypatch.setattr(decode, "decode_file", decode_slowly)
    with pytest.raises(DataError, match="four"):
        decode_images(records, S, num_workers=4)


def test_pending_work_is_cancelled(records: list[ImageRecord], monkeypatch: pytest.MonkeyPatch):
    calls = []

    def fail(path: Path, size: int):
        calls.append(path)
        threading.Event().wait(0.05)
        raise DataError("bad.")

    monkeypatch.setattr(decode, "decode_file", fail)
    with pytest.raises(DataError):
        decode_images(records, S, num_workers=1)
    assert len(calls) < len(records) / 2


def test_mixed_sizes(tmp_path: Path, records: list[ImageRecord]):
    wide = save(tmp_path / "wide.png", random_pixels(6, 20, 3))
    tall = save(tmp_path / "tall.png", random_pixels(20, 6, 3))
    mixed = [record(wide), *records, record(tall), record(wide)]
    with pytest.raises(DataError) as caught:
        decode_images(mixed, S)
    check_sentence(
        caught.value,
        f"8x8 (count 12, such as {records[0].path}), 20x6 (count 2, such as {wide}), "
        f"6x20 (count 1, such as {tall})",
        "set data.allow_mixed_sizes=True to have each stretched to 8x8",
    )
    images = decode_images(mixed, S, allow_mixed_sizes=True)
    np.testing.assert_array_equal(images[0], decode_image(wide, S))


def test_a_long_list_of_sizes_is_cut(tmp_path: Path):
    mixed = [
        record(save(tmp_path / f"{side}.png", random_pixels(side, side, 3)))
        for side in range(1, 21)
    ]
    with pytest.raises(DataError, match=r"8x8 \(count 1, such as [^)]*\), 12 other sizes; make"):
        decode_images(mixed, S)


@pytest.fixture
def masked(tmp_path: Path, records: list[ImageRecord]) -> list[ImageRecord]:
    """Records 1 and 3 are defective: a large defect and one of a single pixel in 32 x 32."""
    for index, box in ((1, np.s_[8:24, 8:24]), (3, np.s_[5, 5])):
        image = save(tmp_path / f"image{index}.png", random_pixels(32, 32, 3))
        mask = np.zeros((32, 32), np.uint8)
        mask[box] = 255
        mask_path = save(tmp_path / f"image{index}_mask.png", mask)
        records[index] = record(image, 1, mask_path)
    return records


def test_masks_and_the_warning_about_an_empty_one(
    masked: list[ImageRecord], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, logger="rdvar_jax"):
        masks = decode_masks(masked, S)
    assert (masks.shape, masks.dtype) == ((12, S, S), np.bool_)
    assert [index for index, mask in enumerate(masks) if mask.any()] == [1]
    assert masks[1].sum() == 16
    (warning,) = caplog.records
    assert str(masked[3].mask_path) in warning.getMessage()

    caplog.clear()
    masks = decode_masks(masked, S, threshold="any")
    assert [index for index, mask in enumerate(masks) if mask.any()] == [1, 3]
    assert caplog.records == []


def test_a_mask_of_another_size_than_its_image(tmp_path: Path, masked: list[ImageRecord]):
    mask_path = save(tmp_path / "other_mask.png", np.full((16, 30), 255))
    masked[3] = record(masked[3].path, 1, mask_path)
    with pytest.raises(DataError) as caught:
        decode_masks(masked, S)
    check_sentence(
        caught.value,
        f"The mask {mask_path} has 30x16 pixels",
        f"its image {masked[3].path} has 32x32",
        "make both the same size",
    )
    with pytest.raises(DataError, match=r"30x16 pixels but its image has 16x30"):
        decode_mask(mask_path, S, (16, 30))


def test_without_a_mask_no_pixel_is_defective(masked: list[ImageRecord]):
    assert not decode_masks([record(masked[1].path, 1)], S).any()


def test_a_folder_of_masks_is_one_mask_and_any_value_can_count(tmp_path: Path):
    image = save(tmp_path / "image.png", random_pixels(S, S, 3))
    parts = tmp_path / "image"
    parts.mkdir()
    for row, mode in ((1, None), (3, "I;16")):  # 3 of 65535 would be 0 of 255
        values = np.zeros((S, S), np.uint16)
        values[row] = row
        save(parts / f"{row}.png", values, mode)
    one = dataclasses.replace(record(image, 1, parts), mask_nonzero=True)
    assert decode_masks([one], S)[0].any(axis=1).nonzero()[0].tolist() == [1, 3]
    assert not decode_masks([record(image, 1, parts)], S).any()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty holds no mask; add the masks of .*image.png"):
        decode_masks([record(image, 1, empty)], S)


def test_nothing_is_drawn_unless_on_a_terminal(
    records: list[ImageRecord],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    decode_images(records, S)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    decode_images(records, S)
    assert "Decoding images" in capsys.readouterr().err
    decode_images(records, S, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.real_data
def test_many_real_masks(shared: Path):
    test = find_category(shared / "data/mvtec_256", "screw").test
    masks = decode_masks(test, 256)
    labels = np.array([one.label for one in test])
    np.testing.assert_array_equal(masks.any(axis=(1, 2)), labels == 1)
