"""Locks a file of the weight cache for writing, and removes what a killed process left of it."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rdvar_jax.errors import InUseError
from rdvar_jax.files.locks import locked_file
from rdvar_jax.files.replacing import make_folder, temporary_of

_POLL_SECONDS = 0.2

logger = logging.getLogger("rdvar_jax")


@contextmanager
def cache_lock(target: Path) -> Iterator[None]:
    """Locks a file of the cache for writing; its folder is created if missing.

    Waits while another process writes the same file, which may exist afterwards.

    Raises:
        OSError: the folder cannot be created or written.
    """
    make_folder(target.parent)
    with ExitStack() as stack:
        has_waited = False
        while True:
            try:
                stack.enter_context(locked_file(target, "waiting until it ends"))
                break
            except InUseError as error:
                if not has_waited:
                    logger.info("%s", error)
                has_waited = True
                time.sleep(_POLL_SECONDS)
        _remove_unfinished(target)
        yield


def sweep(target: Path) -> None:
    """Removes the temporary files of processes that were killed while they wrote `target`."""
    if not _unfinished(target):
        return
    with suppress(OSError, InUseError), locked_file(target, "wait until it ends"):
        _remove_unfinished(target)


def _unfinished(target: Path) -> list[Path]:
    name = temporary_of(target).name.removesuffix(".tmp")
    try:
        return [
            path
            for path in target.parent.iterdir()
            if path.name.startswith(name) and path.suffix == ".tmp"
        ]
    except OSError:  # there is no folder yet
        return []


def _remove_unfinished(target: Path) -> None:
    for path in _unfinished(target):
        path.unlink(missing_ok=True)
