"""PNG files whose remarks Pillow refuses, although their pixels are whole."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from plain_variants import chunk, pixels, png

from rdvar_jax.data.pixels.decode import decode_original
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.errors import DataError

RGB = pixels(3)
UP = RGB.shape[1::-1]
LONG = zlib.compress(bytes(PngImagePlugin.MAX_TEXT_CHUNK + 1))
TEXT_LIMIT = 2**20  # Pillow's, of all texts, is 64 times as much
TURNED = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLHH", 0x112, 3, 1, 6, 0) + bytes(4)
XMP = b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta tiff:Orientation="6"/>'

# Each is an error of Pillow's, at one of the two places at least.
REMARKS = {
    "compressed text": chunk(b"zTXt", b"Comment\0\0" + LONG),
    "international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + LONG),
    "profile": chunk(b"iCCP", b"icc\0\0" + LONG),
    "much text": chunk(b"tEXt", b"Comment\0" + b"a" * (TEXT_LIMIT + 1)),
    "text of another compression": chunk(b"zTXt", b"Comment\0\7" + LONG),
    "profile of another compression": chunk(b"iCCP", b"icc\0\7" + LONG),
    "short size": chunk(b"pHYs", b"\0"),
    "short gamma": chunk(b"gAMA", b""),
    "short primaries": chunk(b"cHRM", b"123"),
    "short intent": chunk(b"sRGB", b""),
    "EXIF without a header": chunk(b"eXIf", b"garbage! garbage!"),
    "short EXIF": chunk(b"eXIf", b"II*\0"),
    "EXIF as text": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  8\nzzzz"),
}


@pytest.fixture(autouse=True)
def lower_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", TEXT_LIMIT)


def is_refused_by_pillow(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
            image.getexif()
    except Exception:
        return True
    return False


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", REMARKS)
def test_a_remark_does_not_make_a_file_damaged(tmp_path: Path, name: str, place: str):
    path = tmp_path / "a.png"
    path.write_bytes(png(RGB, 8, 2, **{place: REMARKS[name]}))
    assert is_refused_by_pillow(path)
    np.testing.assert_array_equal(decode_original(path), RGB)
    assert image_dimensions(path) == UP


@pytest.mark.parametrize("told_by", [chunk(b"eXIf", TURNED), chunk(b"iTXt", XMP)])
@pytest.mark.parametrize("name", ["compressed text", "profile", "much text"])
def test_the_orientation_is_kept(tmp_path: Path, name: str, told_by: bytes):
    path = tmp_path / "a.png"
    path.write_bytes(png(RGB, 8, 2, REMARKS[name], told_by))
    np.testing.assert_array_equal(decode_original(path), np.rot90(RGB, -1))
    assert image_dimensions(path) == UP[::-1]


def test_an_orientation_over_the_limit_is_left_out(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(png(RGB, 8, 2, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG)))
    np.testing.assert_array_equal(decode_original(path), RGB)


def test_transparency_is_dropped_as_always(tmp_path: Path):
    path = tmp_path / "a.png"
    key = chunk(b"tRNS", struct.pack(">HHH", *map(int, RGB[0, 0])))
    path.write_bytes(png(RGB, 8, 2, key + REMARKS["profile"]))
    np.testing.assert_array_equal(decode_original(path), RGB)


@pytest.mark.parametrize("name", ["profile", "much text"])
def test_damage_beside_a_remark_is_damage(tmp_path: Path, name: str):
    content = png(RGB, 8, 2, REMARKS[name])
    path = tmp_path / "a.png"
    at = content.index(b"IDAT")
    # Cut within the pixels, a pixel changed, the remark itself changed.
    for bad in (
        content[: at + 40],
        content[: at + 40] + b"\0\0" + content[at + 42 :],
        content[:60] + b"\0\0" + content[62:],
    ):
        path.write_bytes(bad)
        with pytest.raises(DataError, match="a.png"):
            decode_original(path)
