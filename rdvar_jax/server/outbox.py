"""Verdicts on their way to a receiver that may be away for a while."""

import logging
import threading
from collections import deque
from typing import Protocol

from rdvar_jax.server.examined import Pictures
from rdvar_jax.server.verdict import Verdict

MOST_WAITING = 100_000  # in memory, about 1 kB each; the oldest is given up for a new one

_logger = logging.getLogger("rdvar_jax")


class Cursor(Protocol):
    """The verdicts of a log, and how far a receiver has confirmed them."""

    def undelivered(self, limit: int) -> list[Verdict]:
        """Returns verdicts after the last confirmed one, the oldest first."""
        ...

    def deliver(self, id: int) -> None:
        """Keeps that all verdicts up to this one are confirmed."""
        ...


class Outbox:
    """Hands verdicts out one after the other, and knows which were delivered.

    A listener of the ledger. With a cursor, what an earlier process did not deliver comes first.
    """

    fate = ", and are lost"  # of what is left at the end

    def __init__(self, cursor: Cursor | None = None):
        self._cursor = cursor
        self._waiting = deque[Verdict]()
        self._handed_out: dict[int, bool] = {}  # whether it was delivered, in the order of ids
        self._given_up = 0
        self._changed = threading.Condition()
        if cursor is not None:
            self.fate = "; they follow after the next start"
            self._waiting.extend(cursor.undelivered(MOST_WAITING))

    def __call__(self, verdict: Verdict, pictures: Pictures | None = None) -> None:
        """Takes a verdict; returns at once."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self._given_up += 1
                if self._given_up == 1:
                    _logger.warning(
                        "%d verdicts wait for a receiver; the oldest are given up", MOST_WAITING
                    )
            self._waiting.append(verdict)
            self._changed.notify_all()

    def next(self, timeout: float) -> Verdict | None:
        """Waits for the next verdict; None after `timeout` seconds without one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, timeout):
                return None
            verdict = self._waiting.popleft()
            self._handed_out[verdict.id] = False
            return verdict

    def delivered(self, id: int) -> None:
        """Notes that a verdict has arrived."""
        with self._changed:
            self._handed_out[id] = True
            last = None
            # Confirmed up to here without a gap.
            while self._handed_out and next(iter(self._handed_out.values())):
                last = next(iter(self._handed_out))
                del self._handed_out[last]
            self._changed.notify_all()
        if last is not None and self._cursor is not None:
            self._cursor.deliver(last)

    def wait_until_delivered(self, timeout: float) -> int:
        """Waits until all verdicts have arrived; returns how many have not after `timeout`."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._handed_out), timeout)
            arrived = sum(self._handed_out.values())
            return len(self._waiting) + len(self._handed_out) - arrived
