"""Atomic replacement of files, rows of CSV, and the folder of the cache.

Readers see the old content or the new, never a mixture.

The new content is written beside the file under a temporary name, synced to disk and renamed. A
kill or a power cut leaves the old file or the new one, and at most a hidden `.NAME.tmp`, which the
next write replaces.
"""

import csv
import errno
import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Errors of systems that cannot sync a folder, or open it for that. They are ignored: the file has
# its new name already.
_NO_FOLDER_SYNC = (errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.EPERM)

MAX_NAME_BYTES = 255  # of a file's name on the usual file systems


@contextmanager
def replacing(path: Path, *, shared: bool = False, synced: bool = True) -> Iterator[Path]:
    """Yields a temporary path in the file's folder; the file written there replaces `path`.

    The replacement happens at the end of the block. After an error in the block the temporary file
    is removed and the old file stays.

    Args:
        path: the file; its folder must exist by the end of the block.
        shared: several processes may write this file at once. Each then uses its own temporary
            name, which remains if the process is killed.
        synced: sync the file to disk first. False for the many pictures of images, which can be
          made again.

    Raises:
        OSError: the file cannot be written, synced to disk or renamed. It has the file's name,
            which an error of a write or a sync lacks.
    """
    temporary = temporary_of(path, f".{uuid.uuid4().hex[:8]}" if shared else "")
    try:
        yield temporary
        if synced:
            _sync_file(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            if error.filename in (None, str(temporary), os.fspath(temporary)):
                error.filename, error.filename2 = str(path), None
        raise
    if synced:
        with naming(path):
            sync_folder(path.parent)


@contextmanager
def whole_or_none(path: Path) -> Iterator[None]:
    """Removes the file after an error in the block, which writes it without `replacing`.

    For files that are made again if they are missing, and need no sync.
    """
    try:
        with naming(path):
            yield
    except BaseException:
        _remove(path)
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives an exception of the block the file's name, which those of writes and syncs lack."""
    try:
        yield
    # Everything, raised again: libraries report a failed write with exceptions of their own.
    except Exception as error:
        has_reason = not isinstance(error, OSError) or error.errno is not None
        if has_reason and getattr(error, "filename", None) is None:
            # Most types lack the attribute; `exhausted` looks for it on any.
            error.filename = str(path)  # type: ignore[attr-defined]
        raise


def temporary_of(path: Path, own: str = "") -> Path:
    """Returns the path under which `replacing` writes a file first."""
    # In the same folder, since a rename is atomic only within one file system.
    name = f".{path.name}{own}.tmp"
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}{own}.tmp"
    return path.with_name(name)


def publish_folder(folder: Path, target: Path) -> None:
    """Gives a finished folder its name, once all that it holds is synced to disk.

    After a kill or a power cut there is either no `target` or the whole one.

    Args:
        folder: with only files and folders in it.
        target: on the same file system; must not exist.

    Raises:
        OSError: something cannot be synced or renamed.
    """
    with naming(target):
        for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes first
            if path.is_dir():
                sync_folder(path)
            else:
                _sync_file(path)
        sync_folder(folder)
        os.replace(folder, target)
        sync_folder(target.parent)


def make_folder(folder: Path) -> None:
    """Creates a folder with its parents, and syncs their names to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with naming(folder):
        for path in missing:
            sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file with `content`; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replaces a file with UTF-8 text; see `replacing`.

    File names in it that are not UTF-8 keep their bytes; line endings are not translated.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Replaces a file with JSON; see `replacing`.

    Raises:
        ValueError: an infinity or NaN, which JSON lacks. The file is left unchanged.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def csv_line(fields: Sequence[object]) -> str:
    """Returns a row of CSV with its line end, which Python's `csv.reader` reads back unchanged."""
    text = io.StringIO()
    # The writer quotes the characters of its line end. A field may hold any of both: file names do.
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:  # Windows syncs only files open for writing
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Syncs the names in a folder to disk where the system can; Windows cannot open folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        pass  # the original error says more


def cache_folder() -> Path:
    """Returns `$RDVAR_CACHE`, or `rdvar_jax` in the user's cache folder."""
    own = os.environ.get("RDVAR_CACHE")
    return expanded(own) if own else user_cache_folder() / "rdvar_jax"


def user_cache_folder() -> Path:
    """Returns `$XDG_CACHE_HOME` or `~/.cache`."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


def expanded(path: str) -> Path:
    """Returns a path with `~` replaced by the home folder, if there is one."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises without a home
