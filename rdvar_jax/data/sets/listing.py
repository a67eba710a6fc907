"""Lists the images in a folder, sorted by name; no file is opened."""

import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from rdvar_jax.errors import DataError, one_line

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_logger = logging.getLogger("rdvar_jax")
_MAX_NAMES_SHOWN = 15


# Called with each problem of a set. `refuse` raises the first one, the `append` of a list collects
# them all.
Complain: TypeAlias = Callable[[str], None]


def refuse(sentence: str) -> None:
    """Raises a DataError with this sentence."""
    raise DataError(sentence)


class FolderEntries(NamedTuple):
    """Entries of a folder, each list sorted by name, without hidden ones."""

    images: list[Path]
    folders: list[Path]
    others: list[Path]


def images_in(folder: Path) -> list[Path]:
    """Returns the images directly in a folder; a warning names all else but hidden files."""
    entries = folder_entries(folder)
    # Left out, not refused: systems and labelling tools put their own files beside images
    # (Thumbs.db, desktop.ini, notes.txt), and none can change a result. A warning names them all
    # the same, because a .webp or a sub-folder was perhaps meant to be read.
    warn_left_out(folder, entries.folders + entries.others)
    return entries.images


def folder_entries(folder: Path) -> FolderEntries:
    """Lists the entries directly in a folder.

    Raises:
        DataError: the folder cannot be listed.
    """
    entries = FolderEntries([], [], [])
    try:
        # Hidden files include the "._000.png" that macOS writes beside 000.png on foreign disks.
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if path.is_dir():
                entries.folders.append(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                entries.images.append(path)  # a broken link too: decoding raises a clear error
            else:
                entries.others.append(path)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be listed ({error.strerror}); grant read access to it."
        ) from error
    return entries


def warn_left_out(folder: Path, paths: list[Path]) -> None:
    """Names unused entries of a folder in a warning."""
    if paths:
        names = some_names([path.name for path in paths])
        _logger.warning("%s: not used, because it is not part of the layout: %s", folder, names)


def stem_of(path: Path) -> str:
    """Returns a file's name without its suffix, to match images and masks by.

    Normalised Unicode: macOS writes an accented letter as two characters, others as one.
    """
    return unicodedata.normalize("NFC", path.stem)


def some_names(names: list[str]) -> str:
    """Joins names in one line; of very many, only the first."""
    shown = ", ".join(one_line(name) for name in names[:_MAX_NAMES_SHOWN])
    hidden = len(names) - _MAX_NAMES_SHOWN
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def image_suffixes() -> str:
    """Returns the image suffixes as text for a message."""
    return ", ".join(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
