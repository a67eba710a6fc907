"""Tells a TIFF of several images from one that holds thumbnails of its first image too."""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import IO

from PIL import TiffImagePlugin

from rdvar_jax.data.sets.records import ImageFile
from rdvar_jax.errors import DataError

_NEW_SUBFILE, _OLD_SUBFILE = 254, 255
_MAX_PAGES_LOOKED_AT = 64


def check_one_page(image: TiffImagePlugin.TiffImageFile, name: ImageFile) -> None:
    """Raises a DataError if the file has a second page that is not a thumbnail of the first.

    The pages after that one are not looked at: counting thousands takes Pillow minutes.
    """
    if not image.tag_v2.next or image.fp is None:
        return
    file = image.fp
    at = file.tell()
    pages = islice(_pages(file), _MAX_PAGES_LOOKED_AT)
    is_first_thumbnail = next(pages)
    are_thumbnails = [is_first_thumbnail]
    for is_thumbnail in pages:
        are_thumbnails.append(is_thumbnail)
        if is_first_thumbnail or not is_thumbnail or len(are_thumbnails) == _MAX_PAGES_LOOKED_AT:
            raise DataError(
                f"{name} holds more than one page, and it is unclear which one is meant; save "
                "each as a separate file."
            )
    file.seek(at)


def _pages(file: IO[bytes]) -> Iterator[bool]:
    """Yields for each page whether it is marked as a reduced copy of another one."""
    file.seek(0)
    header = file.read(16)
    order = ">" if header.startswith(b"MM") else "<"
    is_big = 43 in header[2:4]
    counts, entries, offsets = ("Q", "HHQQ", "Q") if is_big else ("H", "HHLL", "L")
    (at,) = struct.unpack_from(order + offsets, header, 8 if is_big else 4)
    seen = set()
    while at and at not in seen:
        seen.add(at)
        file.seek(at)
        (count,) = _read(file, order + counts)
        size = struct.calcsize(order + entries)
        directory = file.read(count * size)
        kinds = {}
        for tag, dtype, _, value in struct.iter_unpack(order + entries, directory):
            if dtype == 3 and order == ">":  # a short is at the front of its field
                value >>= 48 if is_big else 16
            kinds[tag] = value
        (at,) = _read(file, order + offsets)
        yield bool(kinds.get(_NEW_SUBFILE, 0) & 1) or kinds.get(_OLD_SUBFILE, 0) & 0xFFFF == 2


def _read(file: IO[bytes], format: str) -> tuple:
    return struct.unpack(format, file.read(struct.calcsize(format)))
