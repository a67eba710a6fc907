"""Ctrl-C and SIGTERM: finish the step, save and exit, all processes after the same step."""

import signal
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import SupportsInt

# Polls before the processes' common answer is read: it has arrived by then, so polling at each
# step does not block.
POLLS_IN_FLIGHT = 2


class Stopped(Exception):
    """The run was asked to stop; its state is saved."""

    def __init__(self, signal_number: int, step: int):
        name = signal.Signals(signal_number).name
        super().__init__(
            f"stopped by {name} after step {step}; run the same command again to resume"
        )
        self.signal_number = signal_number


class StopRequest:
    """Remembers the first SIGINT or SIGTERM inside a `with` block.

    The second one has its usual effect, for users who cannot wait for the step to end. Signals can
    only be caught in the main thread; elsewhere this does nothing.

    Args:
        largest: returns the maximum of a number over all processes without blocking; None for one
          process. With several, a signal to any of them takes effect some polls later, at the same
          poll in all.
        enabled: if false, signals have their usual effect.

    Attributes:
        signal_number: of the signal that requests a stop, or None.
    """

    def __init__(
        self, largest: Callable[[int], SupportsInt] | None = None, enabled: bool = True
    ) -> None:
        self.signal_number: int | None = None
        self._received = 0
        self._largest = largest
        self._enabled = enabled
        self._answers: deque[SupportsInt] = deque()
        self._previous: dict[int, object] = {}

    def poll(self) -> None:
        """Queries the other processes; all of them call it once per step."""
        if self._largest is None:
            return
        self._answers.append(self._largest(self._received))
        if len(self._answers) > POLLS_IN_FLIGHT:
            self.signal_number = int(self._answers.popleft()) or None

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM) if self._enabled else ():
            try:
                self._previous[number] = signal.signal(number, self._remember)
            except ValueError:  # not in the main thread
                break
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        if self._largest is None:
            self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._previous = {}
