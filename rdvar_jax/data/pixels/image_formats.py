"""Formats of image files that are read: Pillow's own, and those of an optional package."""

import importlib.util
from functools import lru_cache
from pathlib import Path

from PIL import features

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Only these: otherwise Pillow tries some forty formats on a file, whatever its suffix, and runs
# Ghostscript for one of them.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_AVIF, _HEIF = (".avif",), (".heic", ".heif")
_INSTALL_AVIF, _INSTALL_HEIF = "pip install -U pillow", "pip install pillow-heif"

# What a file of such a container begins with, after its length and "ftyp".
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")


def is_image_name(name: str | Path) -> bool:
    """Returns whether a file's suffix is that of a format that is read here."""
    return Path(name).suffix.lower() in readable_suffixes()


@lru_cache(maxsize=1)
def readable_suffixes() -> tuple[str, ...]:
    """Returns the suffixes of the formats that are read here, in lower case."""
    return (*_SUFFIXES, *(_AVIF if _has_avif() else ()), *(_HEIF if _has_heif() else ()))


def missing_reader(name: str | Path) -> str | None:
    """Returns the command that installs the reader of an image file; None if there is nothing to.

    By its suffix alone: the file is not opened.
    """
    suffix = Path(name).suffix.lower()
    if suffix in readable_suffixes():
        return None
    return _INSTALL_HEIF if suffix in _HEIF else _INSTALL_AVIF if suffix in _AVIF else None


def image_suffixes() -> str:
    """Returns the suffixes as text for a message, with what others need."""
    text = ", ".join(suffix.removeprefix(".") for suffix in readable_suffixes())
    for suffixes in (_AVIF, _HEIF):
        if install := missing_reader(f"x{suffixes[0]}"):
            names = " and ".join(suffix.removeprefix(".") for suffix in suffixes)
            text += f"; {names} after {install}"
    return text


def unread_container(start: bytes) -> tuple[str, str] | None:
    """Returns name and installing command of a format that is not read here, by a file's start.

    Args:
        start: the first 12 bytes.
    """
    if start[4:8] != b"ftyp":
        return None
    if start[8:12] in _HEIF_BRANDS and not _has_heif():
        return "a HEIC image", _INSTALL_HEIF
    if start[8:12] in _AVIF_BRANDS and not _has_avif():
        return "an AVIF image", _INSTALL_AVIF
    return None


@lru_cache(maxsize=1)
def pillow_formats() -> tuple[str, ...]:
    """Returns Pillow's names of the formats that are read, with all of them registered."""
    formats = [*_FORMATS]
    if _has_avif():
        formats.append("AVIF")
    if _has_heif():
        from pillow_heif import register_heif_opener

        register_heif_opener()
        formats.append("HEIF")
    return tuple(formats)


def _has_avif() -> bool:
    # Pillow knows the format since 11.3.
    return "avif" in features.modules and features.check_module("avif")


def _has_heif() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None
