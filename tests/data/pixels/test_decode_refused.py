"""Files that are too large, cut off or not readable, and the sentence about each."""

import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from expectations import check_sentence, grey
from image_writers import S, random_pixels, save, write_png
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_image, decode_mask, decode_original
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.errors import DataError

L = random_pixels(S, S)
RGB = random_pixels(S, S, 3)


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
