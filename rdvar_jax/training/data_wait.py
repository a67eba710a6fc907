"""Time that training spends waiting for data."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class DataWait:
    """Fraction of an epoch that the loop spent waiting for its next batch.

    The devices still have queued steps while the loop waits, so they idle for at most this
    fraction.
    """

    def __init__(self):
        self.start()

    def start(self) -> None:
        """Starts an epoch."""
        self._start = time.perf_counter()
        self._seconds = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Adds the time spent in the block."""
        start = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - start

    def share(self) -> float:
        """Returns the fraction of the epoch so far, from 0 to 1."""
        return self._seconds / max(time.perf_counter() - self._start, 1e-9)
