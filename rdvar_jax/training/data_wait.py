"""How long training waits for its data."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class DataWait:
    """The share of an epoch's time that the loop spent waiting for its next batch.

    The devices still have steps to do while the loop waits, so they idle for at most this share.
    """

    def __init__(self):
        self.start()

    def start(self) -> None:
        """Begins an epoch."""
        self._start = time.perf_counter()
        self._seconds = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time inside."""
        start = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - start

    def share(self) -> float:
        """From 0 to 1, of the epoch so far."""
        return self._seconds / max(time.perf_counter() - self._start, 1e-9)
