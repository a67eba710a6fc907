"""Recognises exceptions that mean a limit of the system: disk, file size, open files, memory.

Such an exception can come from any line and any library, and C++ libraries report the limit only
in their text. So it is recognised in one place, from the exception and its causes.
"""

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.errors import UserError, one_line

# Texts of tensorstore, XLA, the dynamic loader, Python's threads, numpy and C++'s allocator.
_OS_CODE = re.compile(r"\[os_error_code='(\d+)'\]|\[Errno (\d+)\]")
_IN_TEXT = {
    errno.ENOSPC: re.compile(r"No space left on device"),
    errno.EDQUOT: re.compile(r"Disk quota exceeded"),
    errno.EFBIG: re.compile(r"File too large"),
    errno.EMFILE: re.compile(r"Too many open files"),
    errno.ENOMEM: re.compile(
        r"Out of memory|Unable to allocate|Cannot allocate memory|bad_alloc|out of memory"
        r"|can't start new thread|failed to map segment|RESOURCE_EXHAUSTED"
    ),
}
# Training of the smallest network on two cores takes 0.9 GB.
LEAST_ADDRESS_SPACE = 10**9

_LIMITS = (*_IN_TEXT, errno.ENFILE)
_FILE_IN_TEXT = re.compile(r'local file "([^"]+)"')


@dataclass(frozen=True)
class Exhausted:
    """A limit of the system that was reached.

    Attributes:
        what: what could not be done, such as "FILE cannot be written"; empty if unknown.
        reason: the limit, such as "the disk is full".
        remedy: such as "make room".
    """

    what: str
    reason: str
    remedy: str

    @property
    def sentence(self) -> str:
        """One sentence for the user."""
        what = f"{self.what}, because {self.reason}" if self.what else self.reason
        return one_line(
            f"{what}; everything saved before is kept: {self.remedy}, then run the same command "
            "again."
        )


def exhausted(error: BaseException) -> Exhausted | None:
    """Returns the limit that caused an exception or one of its causes; None if none did."""
    for cause in _causes(error):
        number = _number(cause)
        if number is not None:
            return _describe(number, _file(cause), str(cause))
    return None


def check_address_space() -> None:
    """Checks that JAX fits into the limit of this process's address space.

    With less, OpenBLAS tries to allocate its buffers again and again and never returns, and C++
    aborts, so that no exception could be reported.

    Raises:
        UserError: it does not fit.
    """
    limit = _rlimit("RLIMIT_AS")
    if limit is not None and limit < LEAST_ADDRESS_SPACE:
        raise UserError(
            f"the address space of this process is limited to {_size(limit)} (ulimit -v), and JAX "
            f"alone takes {_size(LEAST_ADDRESS_SPACE)}; nothing was changed: raise the limit, then "
            "run the same command again."
        )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
        pending += [one.__cause__, None if one.__suppress_context__ else one.__context__]


def _number(error: BaseException) -> int | None:
    """Returns the errno of a limit."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _LIMITS else None
    # Types of C++ libraries' errors, and ImportError of a library that cannot be mapped.
    if not isinstance(error, ImportError | OSError | RuntimeError | ValueError):
        return None
    text = str(error)
    code = _OS_CODE.search(text)
    if code is not None:
        number = int(code[1] or code[2])
        return number if number in _LIMITS else None
    return next((number for number, words in _IN_TEXT.items() if words.search(text)), None)


def _file(error: BaseException) -> str | None:
    named = getattr(error, "filename", None)  # by `naming` of replacing.py on any exception
    if isinstance(named, bytes | str):
        return os.fsdecode(named)
    found = _FILE_IN_TEXT.search(str(error))
    return found[1] if found else None


def _describe(number: int, file: str | None, text: str) -> Exhausted:
    written, opened = (f"{file or 'a file'} cannot be {done}" for done in ("written", "opened"))
    match number:
        case errno.ENOSPC:
            return Exhausted(written, f"the disk is full{_free(file)}", "make room")
        case errno.EDQUOT:
            return Exhausted(written, "your quota of the disk is used up", "make room")
        case errno.EFBIG:
            limit = _rlimit("RLIMIT_FSIZE")
            what = "the file system's" if limit is None else f"{_size(limit)}, ulimit -f"
            reason = f"it would be larger than a file may be here ({what})"
            return Exhausted(written, reason, "raise the limit, or use another folder")
        case errno.EMFILE:
            reason = f"this process may open no more files ({_rlimit('RLIMIT_NOFILE')}, ulimit -n)"
            return Exhausted(opened, reason, "raise the limit, such as ulimit -n 1024")
        case errno.ENFILE:
            return Exhausted(opened, "the system may open no more files", "close other programs")
    limit = _rlimit("RLIMIT_AS")
    more = "" if limit is None else f", or raise the limit of {_size(limit)} (ulimit -v)"
    detail = (text.splitlines() or [""])[0][:200]
    return Exhausted(
        "",
        f"the memory is used up{f' ({detail})' if detail else ''}",
        f"end other programs, lower the batch or image size{more}",
    )


def _free(file: str | None) -> str:
    """Returns how much room is left on a file's disk, in brackets."""
    if file is None:
        return ""
    for folder in Path(file).absolute().parents:
        try:
            return f" ({_size(shutil.disk_usage(folder).free)} free)"
        except OSError:
            continue
    return ""


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _rlimit(name: str) -> int | None:
    """Returns a limit of this process, or None without one, and on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(getattr(resource, name))[0]
    return None if limit == resource.RLIM_INFINITY else limit
