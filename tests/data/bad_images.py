"""Unreadable image files: how each is made, and the problem and remedy in its message."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from image_writers import S, random_pixels, save, write_png, write_tiff
from PIL import Image

L = random_pixels(S, S)


def truncated(path: Path) -> None:
    save(path, random_pixels(64, 64, 3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def two_pages(path: Path) -> None:
    pages = [Image.new("L", (S, S), value) for value in (0, 255)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def bad_header(path: Path) -> None:
    write_png(path, L, 8, 0)
    content = bytearray(path.read_bytes())
    content[25] = 7  # an unknown colour type; the checksum is wrong now, too
    path.write_bytes(content)


def bomb(path: Path) -> None:
    """A header that claims 30000 x 30000 pixels."""
    write_png(path, np.zeros((1, 1), np.uint8), 8, 0)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 30000, 30000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)


def floats(path: Path) -> None:
    save(path, random_pixels(S, S).astype(np.float32), "F")


DAMAGED = ["is damaged or cannot be decoded"], "copy it again from its source or remove it"
UNKNOWN = (
    ["cannot be recognised as a PNG, JPEG, BMP, TIFF or WebP image"],
    "save it as one of these",
)

# file name: (how it is made, parts of the problem in the message, the remedy in it)
BAD_IMAGES: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "truncated.png": (truncated, *DAMAGED),
    "truncated.jpg": (truncated, *DAMAGED),
    "truncated.bmp": (truncated, *DAMAGED),
    "truncated.tif": (truncated, *DAMAGED),
    "truncated.webp": (truncated, *DAMAGED),
    "empty.png": (Path.touch, ["is empty (0 bytes)"], "copy it again from its source or remove it"),
    "text.png": (lambda p: p.write_text("not an image\n"), *UNKNOWN),
    "header_only.png": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), *UNKNOWN),
    "bad_header.png": (bad_header, *UNKNOWN),
    "really_a.png": (
        lambda p: Image.new("RGB", (S, S)).save(p, format="GIF"),
        [*UNKNOWN[0], "it is a GIF image"],
        UNKNOWN[1],
    ),
    "really_b.png": (
        lambda p: Image.new("RGB", (S, S)).save(p, format="JPEG2000"),
        [*UNKNOWN[0], "it is a JPEG 2000 image"],
        UNKNOWN[1],
    ),
    "script.png": (lambda p: p.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), *UNKNOWN),
    "link.png": (
        lambda p: p.symlink_to("gone.png"),
        ["is a link to gone.png, which does not exist"],
        "fix or remove the link",
    ),
    "circle.png": (
        lambda p: p.symlink_to(p.name),
        ["is a link that points back to itself"],
        "fix or remove it",
    ),
    "pipe.png": (os.mkfifo, ["is a pipe or a device, not a file"], "remove it"),
    "bomb.png": (
        bomb,
        ["has 900000000 pixels, more than data.max_pixels=89478485"],
        "else make it smaller or remove it",
    ),
    "pages.tif": (two_pages, ["holds more than one page"], "save each as a separate file"),
    "animated.png": (two_pages, ["holds more than one picture"], "save each as a separate file"),
    "floats.tif": (
        floats,
        ["TIFF of 32-bit float grey"],
        "save it with 8 or 16 bits in grey or RGB",
    ),
    "lab.tif": (lambda p: Image.new("LAB", (S, S)).save(p), ["CIE Lab"], "in grey or RGB"),
    "signed_8.tif": (
        lambda p: write_tiff(p, (L - 100).astype("i1").tobytes(), (8,), 1, signed=True),
        ["is a TIFF of 8-bit signed grey"],
        "save it with 8 or 16 bits in grey or RGB, unsigned",
    ),
    "signed.tif": (
        lambda p: write_tiff(p, (L - 100).astype("<i2").tobytes(), (16,), 1, signed=True),
        ["holds negative grey values, down to -100"],
        "save it unsigned, with 8 or 16 bits",
    ),
    "wide.tif": (
        lambda p: save(p, np.full((S, S), 65536, np.int32), "I"),
        ["holds grey values up to 65536, above 65535"],
        "save it with 8 or 16 bits, or, for images, train with data.full_scale=131071",
    ),
    "a\nb, 'c' \"d\".png": (truncated, ["a\\nb, 'c' \"d\".png", *DAMAGED[0]], DAMAGED[1]),
}

# Files that no listing of a folder finds.
NOT_LISTED: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "absent.png": (lambda p: None, ["does not exist"], "put the file back or correct its path"),
    "folder.png": (Path.mkdir, ["is a folder where an image file is expected"], "remove or rename"),
}
