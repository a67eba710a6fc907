"""Drops PNG chunks that say nothing about pixels: Pillow refuses whole files because of them."""

import struct
import zlib
from collections.abc import Collection, Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Beside the critical chunks, whose names begin with a capital letter: transparency, orientation,
# and the frames of an animation.
_KEPT = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
# Texts in which Pillow looks for the orientation.
ORIENTATION_KEYWORDS = (b"XML:com.adobe.xmp", b"Raw profile type exif")


def without_remarks(content: bytes, keywords: Collection[bytes] = ()) -> bytes | None:
    """Returns the PNG without its texts, profiles and other remarks; None if there are none.

    Args:
        content: the file.
        keywords: of texts that are kept.
    """
    if not content.startswith(_SIGNATURE):
        return None
    parts = [_SIGNATURE]
    for kind, chunk in _chunks(content):
        is_kept = kind[:1].isupper() or kind in _KEPT
        if kind in _TEXT and chunk[8:].split(b"\0", 1)[0] in keywords:
            is_kept = True
        # A wrong checksum means damage, which Pillow should find.
        if is_kept or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            parts.append(chunk)
    result = b"".join(parts)
    return None if len(result) == len(content) else result


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and bytes of each chunk; the last one may be cut short."""
    start = len(_SIGNATURE)
    while start < len(content):
        if start + 8 > len(content):
            length = 0
        else:
            (length,) = struct.unpack_from(">I", content, start)
        yield content[start + 4 : start + 8], content[start : start + 12 + length]
        start += 12 + length
