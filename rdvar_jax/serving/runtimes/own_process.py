"""Refusal to score in a process forked from the one that loaded a model.

A fork copies a runtime without its threads, and the first result would never come.
"""

import os

from rdvar_jax.errors import UserError


class OwnProcess:
    """Remembers the process that made it."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def check(self) -> None:
        """Raises a UserError in any other process."""
        if os.getpid() != self._pid:
            raise UserError(
                "this process was forked from the one that loaded the detector, whose threads it "
                "does not have; load the detector in each process (docs/serving.md)."
            )
