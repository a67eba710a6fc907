"""Translates Pillow's errors into one sentence that names the file and the way out."""

import errno
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL
from PIL import Image, UnidentifiedImageError

from rdvar_jax.data.pixels.image_formats import unread_container
from rdvar_jax.data.pixels.reading import MAX_PIXELS
from rdvar_jax.data.sets.records import ImageFile
from rdvar_jax.errors import DataError
from rdvar_jax.files.exhausted import exhausted

_KINDS = "PNG, JPEG, BMP, TIFF or WebP"
_OTHER_FORMATS = {
    b"GIF8": "a GIF image",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000 image",
    b"\xffO\xffQ": "a JPEG 2000 image",
    b"\xff\xd8": "a damaged JPEG, or one that Pillow does not decode, such as of 12 bits",
}


@contextmanager
def explaining_errors(path: ImageFile, max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Turns any exception that Pillow raises on a bad file into a DataError about that file."""
    try:
        if isinstance(path, Path) and path.exists() and not (path.is_file() or path.is_dir()):
            # Opening a pipe that nobody writes to would block.
            raise DataError(f"{path} is a pipe or a device, not a file; remove it.")
        with pillow_warnings(max_pixels):
            yield
    except DataError:
        raise
    # Everything: the file is untrusted, and Pillow documents no closed set of exceptions
    # (OSError, SyntaxError, ValueError, struct.error, zlib.error and more have been seen).
    except Exception as error:
        # Not about the file: with data.on_error=skip it would be left out.
        if isinstance(error, OSError | MemoryError) and exhausted(error):
            raise
        raise DataError(_explain(path, error, max_pixels)) from error


def check_num_pixels(path: ImageFile, size_wh: tuple[int, int], max_pixels: int) -> None:
    """Raises a DataError if an image has more pixels than `data.max_pixels`."""
    number = size_wh[0] * size_wh[1]
    if number > max_pixels:
        raise DataError(_too_large(path, number, max_pixels))


def _too_large(path: ImageFile, number: int, max_pixels: int) -> str:
    return (
        f"{path} has {number} pixels, more than data.max_pixels={max_pixels}; set data.max_pixels="
        f"{number} if it is meant to be so large and memory suffices, else make it smaller or "
        "remove it."
    )


def _explain(path: ImageFile, error: Exception, max_pixels: int) -> str:
    match error:
        case FileNotFoundError() if isinstance(path, Path) and path.is_symlink():
            return (
                f"{path} is a link to {os.readlink(path)}, which does not exist; fix or remove "
                "the link."
            )
        case OSError(errno=errno.ELOOP):
            return f"{path} is a link that points back to itself; fix or remove it."
        case FileNotFoundError():
            return f"{path} does not exist; put the file back or correct its path."
        case IsADirectoryError():
            return f"{path} is a folder where an image file is expected; remove or rename it."
        case PermissionError():
            return f"{path} cannot be read (permission denied); grant read access to it."
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            # "Image size (98000000 pixels) exceeds ..."
            number = re.search(r"\d+", str(error))
            return _too_large(path, int(number[0]) if number else max_pixels + 1, max_pixels)
        case UnidentifiedImageError() if _is_empty(path):
            return f"{path} is empty (0 bytes); copy it again from its source or remove it."
        case UnidentifiedImageError() if (unread := unread_container(_start(path))) is not None:
            return (
                f"{path} is {unread[0]}, and nothing installed reads it; run {unread[1]}, save it "
                "as JPEG or PNG, or remove it."
            )
        case UnidentifiedImageError() if (kind := _other_format(path)) is not None:
            return (
                f"{path} cannot be recognised as a {_KINDS} image, because it is {kind}; save it "
                "as one of these, or remove it."
            )
        case OSError() | ValueError() if _may_need_newer_pillow(path):
            return (
                f"{path} is damaged or cannot be decoded by Pillow {PIL.__version__} ({error}); "
                "update Pillow (pip install -U pillow), save it as PNG, or copy it again from its "
                "source or remove it."
            )
        case UnidentifiedImageError():
            return (
                f"{path} cannot be recognised as a {_KINDS} image, because it is damaged or its "
                "suffix is wrong; save it as one of these, or remove it."
            )
        case OSError() if str(error).startswith("Unsupported BMP"):
            return (
                f"{path} is a BMP of a kind that Pillow does not decode ({error}); save it as PNG "
                "or as BMP with 24 bits."
            )
        case _:
            return (
                f"{path} is damaged or cannot be decoded ({error or type(error).__name__}); copy "
                "it again from its source or remove it."
            )


def _other_format(path: ImageFile) -> str | None:
    """Returns the name of another format by the file's first bytes."""
    start = _start(path)
    for signature, kind in _OTHER_FORMATS.items():
        if start.startswith(signature):
            return kind
    return None


def _start(path: ImageFile) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _may_need_newer_pillow(path: ImageFile) -> bool:
    """Whether it is a TIFF, some kinds of which only Pillow 13 decodes, and Pillow is older."""
    if int(PIL.__version__.split(".")[0]) >= 13:
        return False
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0")


def _is_empty(path: ImageFile) -> bool:
    with path.open("rb") as file:
        return not file.read(1)


_lock = threading.Lock()
_num_users = 0
_filters = warnings.catch_warnings()
_pillow_limit: int | None = None


@contextmanager
def pillow_warnings(max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Makes too large images an error, and silences Pillow's warnings on odd but readable files.

    Pillow's own limit is raised to `max_pixels`, never lowered: it holds for all threads, and
    `check_num_pixels` refuses what is between.

    `warnings.catch_warnings` changes filters that all threads share, and overlapping uses restore
    the wrong ones. So the first of several users enters it and the last one leaves it.
    """
    global _filters, _num_users, _pillow_limit
    with _lock:
        if _num_users == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
            _pillow_limit = Image.MAX_IMAGE_PIXELS
        if Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
        _num_users += 1
    try:
        yield
    finally:
        with _lock:
            _num_users -= 1
            if _num_users == 0:
                _filters.__exit__(None, None, None)
                Image.MAX_IMAGE_PIXELS = _pillow_limit
