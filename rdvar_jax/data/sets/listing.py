"""Lists the images in a folder, sorted by name; no file is opened."""

import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from rdvar_jax.data.pixels.image_formats import is_image_name, missing_reader
from rdvar_jax.errors import DataError, one_line

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
    # the same, because a .gif or a sub-folder was perhaps meant to be read.
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
            elif is_image_name(path):
                entries.images.append(path)  # a broken link too: decoding raises a clear error
            else:
                entries.others.append(path)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be listed ({error.strerror}); grant read access to it."
        ) from error
    return entries


def warn_left_out(
    folder: Path, paths: list[Path], reason: str = "it is not part of the layout"
) -> None:
    """Names unused entries of a folder in a warning; images without a reader in one of their own.

    Args:
        folder: or a pattern.
        paths: the entries.
        reason: of entries that are not such images.
    """
    unread: dict[str, list[str]] = {}
    others = []
    for path in paths:
        if (install := missing_reader(path)) and not path.is_dir():
            unread.setdefault(install, []).append(path.name)
        else:
            others.append(path.name)
    for install, names in unread.items():
        _logger.warning(
            "%s: skipped, because nothing installed reads them; run %s, or save them as JPEG or "
            "PNG: %s",
            folder,
            install,
            some_names(names),
        )
    if others:
        _logger.warning("%s: not used, because %s: %s", folder, reason, some_names(others))


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
