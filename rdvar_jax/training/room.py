"""Room for a checkpoint, checked before it is written, and silence from the threads of orbax.

Orbax and tensorstore write with many tasks in threads of their own. Where the disk or another limit
ends one of them, the exception is raised in the thread that saves. The other tasks fail too, and
print their tracebacks, some of them much later. So limits are tried first, and what is printed for
tasks of a failed save is dropped.
"""

import errno
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

# Of files that orbax opens at the same time, by strace: 30, with its threads' pipes.
_NUM_FILES = 40


def check_room(folder: Path, num_bytes: int) -> None:
    """Checks that a folder's disk takes that many bytes, and that enough files can be opened.

    The room is allocated, which quotas and limits on a file's size refuse like a full disk, and
    given back.

    Raises:
        OSError: with the folder's name.
    """
    path = folder / ".room.tmp"
    try:
        with ExitStack() as opened:
            for _ in range(_NUM_FILES):
                opened.enter_context(open(os.devnull, "rb"))
        if not hasattr(os, "posix_fallocate"):  # only on Linux and BSD
            return
        with path.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(num_bytes, 1))
            except OSError as error:
                # File systems that cannot allocate report errors of their own.
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
    except OSError as error:
        error.filename = str(folder)
        raise
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


class _NotOfOrbax(logging.Filter):
    """Drops what asyncio and orbax log of exceptions in orbax's threads and tasks."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is None or not _is_of_orbax(error, f"{record.pathname} {record.getMessage()}")


def silence_threads() -> None:
    """Drops the tracebacks of failed saves from now on: their tasks may end at any time later."""
    global _silenced
    with _lock:
        if _silenced:
            return
        _silenced = True
    for name in ("absl", "asyncio", "concurrent.futures"):
        logging.getLogger(name).addFilter(_NotOfOrbax())
    sys.unraisablehook = _without_orbax(sys.unraisablehook)
    never = r"coroutine '(\w*serialize|.*write_fragment).*' was never awaited"
    warnings.filterwarnings("ignore", never, RuntimeWarning)


def _without_orbax(print_error: Callable) -> Callable:
    def unraisablehook(unraisable: Any) -> None:
        if not _is_of_orbax(unraisable.exc_value, repr(unraisable.object)):
            print_error(unraisable)

    return unraisablehook


def _is_of_orbax(error: BaseException | None, where: str) -> bool:
    # Tensorstore's threads report their results to event loops that a failed save has closed.
    if isinstance(error, RuntimeError) and str(error) == "Event loop is closed":
        return True
    frames = traceback.walk_tb(None if error is None else error.__traceback__)
    return "orbax" in where or any("orbax" in frame.f_code.co_filename for frame, _ in frames)


_lock, _silenced = threading.Lock(), False
