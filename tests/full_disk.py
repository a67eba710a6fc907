"""A disk that is full from the n-th write on, for commands that run in the test's own process.

Python's opening for writing, writes, syncs, renames and new folders are counted; what C++ writes,
such as tensorstore, is not. Files outside of the folder are written as ever.
"""

import builtins
import errno
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FullDisk:
    """The disk of one folder.

    Attributes:
        count: events so far.
    """

    def __init__(self, folder: Path, fails_from: float, number: int = errno.ENOSPC):
        self._folder, self._fails_from, self._number = str(folder.resolve()), fails_from, number
        self._lock, self.count = threading.Lock(), 0

    def event(self, path: object, is_named: bool) -> None:
        """Counts something that needs the disk, and raises once it is full.

        As the system's, the errors of writes and syncs do not name the file.
        """
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if not os.path.realpath(os.fsdecode(path)).startswith(self._folder):
            return
        with self._lock:
            self.count += 1
            if self.count >= self._fails_from:
                named = (os.fsdecode(path),) if is_named else ()
                raise OSError(self._number, os.strerror(self._number), *named)

    @property
    def was_full(self) -> bool:
        return self.count >= self._fails_from


class _Raw(io.FileIO):
    def __init__(self, disk: FullDisk, path, mode: str, opener):
        disk.event(path, is_named=True)
        super().__init__(path, mode, opener=opener)
        self._disk = disk

    def write(self, data, /):  # type: ignore[override]
        self._disk.event(self.name, is_named=False)
        return super().write(data)


@contextmanager
def full_disk(folder: Path, fails_from: float, number: int = errno.ENOSPC) -> Iterator[FullDisk]:
    """Makes the `fails_from`-th event in the folder fail, and all after it; infinity only counts.

    Args:
        folder: and all in it.
        fails_from: from 1.
        number: of the error.
    """
    disk = FullDisk(folder, fails_from, number)
    real_open = io.open

    def fake_open(
        file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True,
        opener=None,
    ):  # fmt: skip
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = _Raw(disk, file, mode.replace("b", "").replace("t", ""), opener)
        if buffering == 0:
            return raw
        buffer = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

    def counting(function, where=0):
        def call(*args, **options):
            path, is_file = args[where], isinstance(args[where], int)
            if is_file:
                path = os.readlink(f"/proc/self/fd/{path}")
            disk.event(path, is_named=not is_file)
            return function(*args, **options)

        return call

    patched = [(builtins, "open", fake_open), (io, "open", fake_open)]
    patched += [(os, name, counting(getattr(os, name))) for name in ("fsync", "mkdir")]
    patched += [(os, name, counting(getattr(os, name), 1)) for name in ("replace", "rename")]
    before = [(module, name, getattr(module, name)) for module, name, _ in patched]
    try:
        for module, name, function in patched:
            setattr(module, name, function)
        yield disk
    finally:
        for module, name, function in before:
            setattr(module, name, function)
