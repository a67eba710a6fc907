"""The images in a folder, in the order of their names; nothing is opened."""

import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from rdvar_jax.errors import DataError, one_line

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_logger = logging.getLogger("rdvar_jax")
_MAX_NAMES_SHOWN = 15


# What is told of each thing that is wrong with a set. `refuse` ends the search at the first one,
# the `append` of a list goes on and collects them all.
Complain: TypeAlias = Callable[[str], None]


def refuse(sentence: str) -> None:
    """Raises the DataError of what is wrong."""
    raise DataError(sentence)


class FolderEntries(NamedTuple):
    """What lies in a folder, each list sorted by name, hidden entries left away."""

    images: list[Path]
    folders: list[Path]
    others: list[Path]


def images_in(folder: Path) -> list[Path]:
    """The images right in a folder; all else but hidden files is named in a warning."""
    entries = folder_entries(folder)
    # Left out, not refused: systems and labelling tools drop files of their own beside images
    # (Thumbs.db, desktop.ini, notes.txt), and none of them can change a result. They are named in
    # a warning all the same, because a .webp or a sub-folder was perhaps meant to be read.
    warn_left_out(folder, entries.folders + entries.others)
    return entries.images


def folder_entries(folder: Path) -> FolderEntries:
    """What lies right in a folder.

    Raises:
        DataError: it cannot be listed.
    """
    entries = FolderEntries([], [], [])
    try:
        # Hidden files include the "._000.png" that macOS writes beside 000.png on foreign disks.
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if path.is_dir():
                entries.folders.append(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                entries.images.append(path)  # a broken link too: decoding it gives a clear error
            else:
                entries.others.append(path)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be listed ({error.strerror}); grant read access to it."
        ) from error
    return entries


def warn_left_out(folder: Path, paths: list[Path]) -> None:
    """Names in a warning what lies in a folder and is not used."""
    if paths:
        names = some_names([path.name for path in paths])
        _logger.warning("%s: not used, because it is not part of the layout: %s", folder, names)


def stem_of(path: Path) -> str:
    """A file's name without its suffix, as images and masks are compared by it.

    In one spelling of Unicode: what macOS writes as a letter and an accent, others write as one.
    """
    return unicodedata.normalize("NFC", path.stem)


def some_names(names: list[str]) -> str:
    """The names in one line; of very many the first."""
    shown = ", ".join(one_line(name) for name in names[:_MAX_NAMES_SHOWN])
    hidden = len(names) - _MAX_NAMES_SHOWN
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def image_suffixes() -> str:
    """The suffixes of images, for a sentence."""
    return ", ".join(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
