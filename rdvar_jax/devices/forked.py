"""Refuses to compute in a process forked from one that computes: JAX would hang there.

A fork copies JAX without its threads, so the first result never comes.
"""

import os
from collections.abc import Callable
from typing import Any

from rdvar_jax.errors import UserError

_computes_in: int | None = None  # the process id of the first use; a fork copies it


def refuse_in_fork() -> None:
    """Notes that this process computes; called before each use of devices.

    Raises:
        UserError: a process from which this one was forked computed before.
    """
    global _computes_in
    pid = os.getpid()
    if _computes_in is None:
        _computes_in = pid
    elif _computes_in != pid:
        raise UserError(
            "this process was forked from one that had used JAX, which hangs in forked processes; "
            'start processes with multiprocessing.get_context("spawn"), and load the detector or '
            "model in each of them (docs/serving.md)."
        )


class NotInFork:
    """A jitted function that is not called in forked processes, with all its attributes."""

    def __init__(self, fn: Callable):
        self._fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        refuse_in_fork()
        return self._fn(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fn, name)
