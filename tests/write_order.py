"""Records what is synced to disk and what gets its name, and finds names given too early."""

import os
import stat
from pathlib import Path

import pytest


class WriteOrder:
    """Watches renames in a folder while it is entered.

    Attributes:
        renamed: the paths that were given, relative to the folder, in order.
        problems: a sentence for each that was given before its content was on disk, or that was
            not on disk itself at the end.
    """

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.renamed: list[str] = []
        self.problems: list[str] = []
        self._synced: dict[tuple[int, int], tuple[int, int]] = {}
        self._unsynced_names: dict[tuple[int, int], list[str]] = {}
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> "WriteOrder":
        fsync, replace = os.fsync, os.replace

        def recorded_fsync(handle: int) -> None:
            fsync(handle)
            found = os.fstat(handle)
            self._synced[_identity(found)] = _content(found)
            self._unsynced_names.pop(_identity(found), None)

        def recorded_replace(source, target, **options) -> None:
            path = Path(target)
            if path.is_relative_to(self.folder):
                self._check(Path(source), path)
            replace(source, target, **options)

        self._patch.setattr(os, "fsync", recorded_fsync)
        self._patch.setattr(os, "replace", recorded_replace)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        names = [name for names in self._unsynced_names.values() for name in names]
        names = [name for name in names if (self.folder / name).exists()]  # else it was removed
        self.problems += [f"the name {name} was not synced" for name in names]
        self._unsynced_names.clear()

    def _check(self, source: Path, target: Path) -> None:
        name = target.relative_to(self.folder).as_posix()
        for path in (source, *source.rglob("*")):
            found = path.stat()
            if self._synced.get(_identity(found)) != _content(found):
                self.problems.append(f"{name} got its name before {path.name} was synced")
        self.renamed.append(name)
        self._unsynced_names.setdefault(_identity(target.parent.stat()), []).append(name)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _content(found: os.stat_result) -> tuple[int, int]:
    return (0 if stat.S_ISDIR(found.st_mode) else found.st_size), found.st_mtime_ns
