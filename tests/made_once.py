"""Folders that take long to make: one for the whole session, however many workers it has."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Gives the folder `name` of this session, made by whoever asks for it first.

    The workers of pytest-xdist have temporary folders of their own in one that they share. A lock
    of the system's ends with its process, so that a killed worker leaves nobody waiting.

    Args:
        factory: of the session.
        name: of the folder; another one for everything that is made.
        make: fills the folder. What it makes must not be changed by tests: they copy it.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
