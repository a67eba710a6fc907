"""Verdicts on their way to a receiver that may be away for a while."""

import logging
import threading
from collections import deque
from typing import Protocol

from rdvar_jax.server.judging.examined import Pictures
from rdvar_jax.server.judging.verdict import Verdict

MOST_WAITING = 100_000  # in memory, about 1 kB each; the oldest is given up for a new one

_logger = logging.getLogger("rdvar_jax")


class Waiting(Protocol):
    """Verdicts that nobody has taken yet; used by one thread at a time."""

    fate: str  # words for what is left at the end

    def put(self, verdict: Verdict) -> None:
        """Takes a verdict; returns at once."""
        ...

    def take(self) -> Verdict | None:
        """Returns the oldest; None if there is none."""
        ...

    def delivered(self, id: int) -> None:
        """Notes that the receiver has confirmed all verdicts up to this one."""
        ...

    def __len__(self) -> int: ...


class InMemory:
    """Verdicts that are lost when the process ends."""

    fate = "lost"

    def __init__(self):
        self._verdicts = deque[Verdict]()
        self._given_up = False

    def put(self, verdict: Verdict) -> None:
        """Takes a verdict; gives up the oldest if there are too many."""
        if len(self._verdicts) >= MOST_WAITING:
            self._verdicts.popleft()
            if not self._given_up:
                _logger.warning(
                    "%d verdicts wait for a receiver; the oldest are given up", MOST_WAITING
                )
            self._given_up = True
        self._verdicts.append(verdict)

    def take(self) -> Verdict | None:
        """Returns the oldest."""
        return self._verdicts.popleft() if self._verdicts else None

    def delivered(self, id: int) -> None:
        """Does nothing."""

    def __len__(self) -> int:
        return len(self._verdicts)


class Outbox:
    """Hands verdicts out one after the other, and knows which were delivered.

    A listener of the ledger.

    Args:
        waiting: keeps the verdicts until they are taken.
    """

    def __init__(self, waiting: Waiting | None = None):
        self._waiting = InMemory() if waiting is None else waiting
        self._handed_out: dict[int, bool] = {}  # whether it was delivered, in the order of ids
        self._changed = threading.Condition()
        self._next: Verdict | None = None

    def __call__(self, verdict: Verdict, pictures: Pictures | None = None) -> None:
        """Takes a verdict; returns at once."""
        with self._changed:
            self._waiting.put(verdict)
            self._changed.notify_all()

    def next(self, timeout: float) -> Verdict | None:
        """Waits for the next verdict; None after `timeout` seconds without one."""
        with self._changed:
            if not self._changed.wait_for(self._look, timeout):
                return None
            verdict, self._next = self._next, None
            assert verdict is not None
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
            if last is not None:
                self._waiting.delivered(last)
            self._changed.notify_all()

    def wait_until_delivered(self, timeout: float) -> str:
        """Waits until all verdicts have arrived; else says what happens to the rest."""
        with self._changed:
            self._changed.wait_for(lambda: self._num_left() == 0, timeout)
            number = self._num_left() - sum(self._handed_out.values())
            verdicts = "1 verdict was" if number == 1 else f"{number} verdicts were"
            return f"{verdicts} not confirmed: {self._waiting.fate}" if number else ""

    def _look(self) -> bool:
        if self._next is None:
            self._next = self._waiting.take()
        return self._next is not None

    def _num_left(self) -> int:
        return len(self._waiting) + len(self._handed_out) + (self._next is not None)
