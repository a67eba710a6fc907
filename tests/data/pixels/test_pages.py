"""TIFF files of several pages: a thumbnail of the first is no second image, all else is refused."""

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiff_by_hand import grey, pixels, tiff

from rdvar_jax.data.pixels.decode import decode_original
from rdvar_jax.errors import DataError

_L = pixels()
_TAGS = {258: (8,), 262: (1,), 277: (1,)}
PAGE = (_TAGS, [_L.astype(np.uint8).tobytes()])
SMALL = {256: (3,), 257: (2,), 278: (2,)}
# The new mark and the old one; the new one may have other bits set too.
THUMBNAIL, OLD_THUMBNAIL, THUMBNAIL_OF_A_PAGE = (
    (_TAGS | SMALL | {tag: (value,)}, [bytes(6)]) for tag, value in ((254, 1), (255, 2), (254, 3))
)
OTHER_PAGE, MASK = (_TAGS | {254: (2,)}, PAGE[1]), (_TAGS | {254: (4,)}, PAGE[1])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "more", [[THUMBNAIL], [OLD_THUMBNAIL], [THUMBNAIL_OF_A_PAGE], [THUMBNAIL] * 5]
)
def test_thumbnails_are_passed_over(tmp_path: Path, order: str, more: list):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([PAGE, *more], order))
    np.testing.assert_array_equal(decode_original(path), grey(_L))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "pages",
    [
        [PAGE, PAGE],
        [PAGE, OTHER_PAGE],
        [PAGE, MASK],
        [PAGE, THUMBNAIL, PAGE],
        [THUMBNAIL, PAGE],
        [THUMBNAIL, THUMBNAIL],
    ],
)
def test_real_pages_are_refused(tmp_path: Path, order: str, pages: list):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(pages, order))
    with pytest.raises(DataError, match="a.tif holds more than one page.*; save each as a sep"):
        decode_original(path)


def test_pages_of_a_bigtiff(tmp_path: Path):
    path = tmp_path / "a.tif"
    samples = _L.astype(np.uint8)
    for kind in (1, 0):
        with tifffile.TiffWriter(path, bigtiff=True) as file:
            file.write(samples, photometric="minisblack", metadata=None)
            file.write(samples[:2, :3], photometric="minisblack", metadata=None, subfiletype=kind)
        if kind:
            np.testing.assert_array_equal(decode_original(path), grey(_L))
        else:
            with pytest.raises(DataError, match="more than one page"):
                decode_original(path)


@pytest.mark.parametrize("kind", [0, 1])
def test_thousands_of_pages_are_not_counted(tmp_path: Path, kind: int):
    content = tiff([PAGE])
    link, start, size = len(content) - 4, len(content), 2 + 4 * 12 + 4
    out = io.BytesIO(content)
    out.seek(link)
    out.write(struct.pack("<L", start))
    entries = [(254, kind), (256, 3), (257, 2), (273, 8)]
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
    for index in range(60_000):
        following = start + (index + 1) * size if index < 59_999 else 0
        out.write(struct.pack("<H", len(entries)) + directory + struct.pack("<L", following))
    path = tmp_path / "a.tif"
    path.write_bytes(out.getvalue())
    started = time.perf_counter()
    with pytest.raises(DataError, match="more than one page"):
        decode_original(path)
    assert time.perf_counter() - started < 1


def test_pages_in_a_circle_end(tmp_path: Path):
    content = bytearray(tiff([PAGE]))
    content[-4:] = content[4:8]
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    np.testing.assert_array_equal(decode_original(path), grey(_L))


def test_a_page_behind_the_end_is_damage(tmp_path: Path):
    content = bytearray(tiff([PAGE]))
    content[-4:] = struct.pack("<L", 2**31)
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        decode_original(path)
