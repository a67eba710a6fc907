"""Output of a prediction: written whole or not at all, never outside of its folder.

While a call writes, the hidden file `.unfinished` lists its files. A kill leaves both, so the next
call knows that these files are a part, which it may remove, and not a result.
"""

import errno
import io
import json
import logging
import os
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from rdvar_jax.errors import DataError, InUseError
from rdvar_jax.files.locks import OUTPUT, is_free, locked_folder
from rdvar_jax.files.replacing import naming, temporary_of
from rdvar_jax.report.prediction_files import NEW_FILES

UNFINISHED = ".unfinished"
_FIRST_LINE = "Files of rdvar predict, which did not finish; the same command makes them anew:\n"

_logger = logging.getLogger("rdvar_jax")


class Part:
    """The files of a call that has not finished, in a file of their names."""

    def __init__(self, folder: Path, names: io.FileIO):
        self._folder, self._names, self._lock = folder, names, threading.Lock()

    def note(self, path: Path) -> None:
        """Writes down a file that is about to be written; may be called by several threads."""
        line = json.dumps(path.relative_to(self._folder).as_posix()) + "\n"
        with self._lock:
            self.write(line)

    def write(self, line: str) -> None:
        """Appends a line; raises an OSError if it does not fit on the disk."""
        # Without a buffer, which a full disk would make fail once more when the file is closed.
        with naming(self._folder / UNFINISHED):
            if self._names.write(line.encode()) != len(line.encode()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def locked_output(output: Path) -> Iterator[None]:
    """Keeps other calls from writing the folder; it is created if missing.

    Raises:
        InUseError: another one does already.
        OSError: the folder cannot be written.
    """
    with locked_folder(output, OUTPUT, "wait until it ends, or give another --output"):
        yield


@contextmanager
def whole_or_nothing(output: Path) -> Iterator[Part]:
    """Removes what the block has written after an error, and before it what a killed call has.

    No other file is removed.

    Raises:
        DataError: the folder holds anything else.
        OSError: it cannot be written.
    """
    marker = output / UNFINISHED
    if marker.exists():
        _logger.warning("%s: removing the files of a call that did not finish", output)
        _remove_part(output)
    refuse_filled(output)
    try:
        with marker.open("wb", buffering=0) as names:
            part = Part(output, names)
            part.write(_FIRST_LINE)
            for name in NEW_FILES:
                part.note(output / name)
            yield part
    except BaseException:
        _remove_part(output)
        raise
    marker.unlink()


@contextmanager
def numbered_output(folder: Path, name: str) -> Iterator[Path]:
    """Locks the first of NAME, NAME-2, NAME-3, ... in a folder that holds no result.

    One that a killed call has left is taken, as `whole_or_nothing` removes its part.

    Raises:
        OSError: it cannot be written.
    """
    made = not folder.exists()
    try:
        for number in count(1):
            output = folder / (name if number == 1 else f"{name}-{number}")
            if _is_taken(output):
                continue
            with ExitStack() as stack:
                try:
                    stack.enter_context(locked_output(output))
                except InUseError:
                    continue
                if _is_taken(output):  # another call has filled it since
                    continue
                yield output
                return
    finally:
        if made:
            with suppress(OSError):  # not empty: all is well
                folder.rmdir()


def _is_taken(output: Path) -> bool:
    if not output.is_dir():
        return os.path.lexists(output)
    return not is_free(output) and not (output / UNFINISHED).exists()


def refuse_filled(output: Path, own: tuple[str, ...] = ()) -> None:
    """Raises a DataError if the folder holds files of other names than `own`."""
    if is_free(output, own):
        return
    if (output / UNFINISHED).exists():
        raise DataError(
            f"--output {output} holds a part of a rdvar predict that did not finish; run that "
            "command again, or give a new or an empty folder."
        )
    raise DataError(f"--output {output} is not empty; give a new or an empty folder.")


def ignores_case(folder: Path) -> bool:
    """Returns whether names that differ only in case are one file in a locked folder."""
    return (folder / OUTPUT.upper()).exists()


def name_key(folder: Path) -> Callable[[str], str]:
    """Returns a function that is equal for names which are one file in the folder."""
    if not ignores_case(folder):
        return str
    # Such file systems mostly ignore how accents are composed too.
    return lambda name: unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def inside(output: Path, path: Path) -> bool:
    """Returns whether a file of the output, once written, is in the folder: no link leads out."""
    return Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(output))


def _remove_part(output: Path) -> None:
    """Removes the files of the list, their temporary ones, and folders that are empty then."""
    for path in _listed(output):
        for file in (path, temporary_of(path)):
            with suppress(FileNotFoundError, NotADirectoryError):
                file.unlink()
        for folder in path.parents:
            if folder == output:
                break
            with suppress(OSError):  # not empty, or gone already
                folder.rmdir()
    (output / UNFINISHED).unlink(missing_ok=True)


def _listed(output: Path) -> list[Path]:
    """Reads the list; what is cut off, or leads out of the folder, is not ours."""
    try:
        text = (output / UNFINISHED).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    found = []
    for line in text.split("\n")[1:-1]:
        try:
            path = output / json.loads(line)
        except (ValueError, TypeError):
            continue
        if ".." not in path.parts[len(output.parts) :] and inside(output, path):
            found.append(path)
    return found
