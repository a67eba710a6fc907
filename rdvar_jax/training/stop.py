"""Ctrl-C and SIGTERM: finish the step, save, leave."""

import signal
from types import FrameType


class Stopped(Exception):
    """The run was asked to stop; its state is saved."""

    def __init__(self, signal_number: int, step: int):
        name = signal.Signals(signal_number).name
        super().__init__(
            f"stopped by {name} after step {step}; the same command goes on from there"
        )
        self.signal_number = signal_number


class StopRequest:
    """Remembers the first SIGINT or SIGTERM inside a `with` block.

    The second one acts as it would outside, for those who cannot wait for the step to end. Signals
    can only be caught in the main thread; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._remember)
            except ValueError:  # not in the main thread
                break
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._previous = {}
