"""Writers of small image files of any kind."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

S = 8  # side of the generated images; nothing is resized unless a test wants it


def random_pixels(*shape: int, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape)


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    image = Image.fromarray(pixels.astype(np.uint8) if mode is None else pixels)
    if mode is not None and image.mode != mode:
        image = Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
    image.save(path, **options)
    return path


def write_png(path: Path, pixels: np.ndarray, bits: int, colour_type: int) -> Path:
    """Writes a PNG from its specification, where Pillow cannot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2" if bits == 16 else np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def write_tiff(
    path: Path, data: bytes, bits: tuple[int, ...], photometric: int, order: str = "<", signed=False
) -> Path:
    """Writes an uncompressed TIFF of S x S from its specification, where Pillow cannot."""
    directory_at = 8
    num_entries = 10
    bits_at = directory_at + 2 + 12 * num_entries + 4
    data_at = bits_at + 2 * len(bits)

    def entry(tag: int, value: int, count: int = 1, kind: int = 4) -> bytes:
        packed = struct.pack(order + "HHI", tag, kind, count)
        if kind == 3 and count == 1:
            return packed + struct.pack(order + "HH", value, 0)
        return packed + struct.pack(order + "I", value)

    one = len(bits) == 1
    entries = [
        entry(256, S),
        entry(257, S),
        entry(258, bits[0] if one else bits_at, len(bits), 3),
        entry(259, 1, kind=3),
        entry(262, photometric, kind=3),
        entry(273, data_at),
        entry(277, len(bits), kind=3),
        entry(278, S),
        entry(279, len(data)),
        entry(339, 2 if signed else 1, kind=3),
    ]
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, directory_at)
    directory = struct.pack(order + "H", num_entries) + b"".join(entries) + bytes(4)
    path.write_bytes(start + directory + struct.pack(f"{order}{len(bits)}H", *bits) + data)
    return path
