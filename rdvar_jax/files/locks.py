"""Locks: one process at a time writes a folder or a file.

A lock is the operating system's, on a hidden file. It ends with its process, also after a kill; the
file may remain then and means nothing. Readers need no lock: files are replaced atomically.
"""

import errno
import json
import logging
import os
import shlex
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rdvar_jax.errors import InUseError, one_line
from rdvar_jax.files.replacing import temporary_of

OUTPUT, TRAINING, RESULTS = ".output.lock", ".training.lock", ".results.lock"
NAMES = (OUTPUT, TRAINING, RESULTS)

# Errors of file systems that have no locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_MAX_COMMAND = 200  # characters of a command that are shown

_logger = logging.getLogger("rdvar_jax")


@contextmanager
def locked_folder(folder: Path, name: str, way_out: str) -> Iterator[None]:
    """Locks a folder for one purpose; it is created if missing.

    At the end the lock's file is removed, and so is the folder if it was created here and is empty.

    Args:
        folder: to lock.
        name: one of `NAMES`: what it is locked for. Locks of different names do not exclude each
          other.
        way_out: end of the sentence for a second process: "give another --output".

    Raises:
        InUseError: another process holds the lock, or another call in this one.
        OSError: the folder cannot be created or written.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder / name, folder, way_out):
            yield
    finally:
        if made:
            with suppress(OSError):  # not empty, in use by another process, or gone
                folder.rmdir()


@contextmanager
def locked_file(path: Path, way_out: str) -> Iterator[None]:
    """Locks a file that is to be written, by a hidden file beside it; see `locked_folder`."""
    path.parent.stat()  # the library would create it
    with _locked(temporary_of(path).with_suffix(".lock"), path, way_out):
        yield


def is_free(folder: Path, own: Collection[str] = ()) -> bool:
    """Returns whether a folder holds nothing but locks and files with the names in `own`."""
    return {path.name for path in folder.iterdir()} <= {*NAMES, *own}


@contextmanager
def _locked(lock_file: Path, what: Path, way_out: str) -> Iterator[None]:
    # Imported here, because reading a run or a bundle needs no lock.
    from filelock import FileLock, Timeout

    # No fallback to a file whose mere existence locks: it would outlive a killed process.
    # 664: where a killed process of another user left the file, its group can lock it again.
    lock = FileLock(lock_file, timeout=0, mode=0o664, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise InUseError(f"{what} is in use by {_holder(lock_file)}; {way_out}.") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            error.filename = os.fspath(what)  # not that of the lock
            raise
        _logger.warning(
            "%s: its file system has no locks (%s), so make sure that no other process writes it",
            what,
            error.strerror,
        )
        with suppress(OSError):
            lock_file.unlink()
        yield
        return
    try:
        with suppress(OSError):  # a full disk: locked all the same
            lock_file.write_text(json.dumps(_this_process()))
        yield
    finally:
        # Removed while it is locked: who opened it before finds it unlinked and makes a new one.
        with suppress(OSError):  # Windows does not remove an open file
            lock_file.unlink()
        lock.release()


def _this_process() -> dict[str, str | int]:
    program, *args = sys.argv
    command = shlex.join([os.path.basename(program), *args])
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": command}


def _holder(lock_file: Path) -> str:
    """Describes the process that holds a lock, as far as it can be known."""
    try:
        about = json.loads(lock_file.read_bytes())
        pid, host, command = int(about["pid"]), str(about["host"]), str(about["command"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
    if len(command) > _MAX_COMMAND:
        command = f"{command[:_MAX_COMMAND]}..."
    return one_line(f"another process (pid {pid} on {host}: {command})")
