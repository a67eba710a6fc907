"""Ends a training whose loss has levelled off."""

from collections.abc import Iterable

import numpy as np

WINDOW = 10  # epochs whose mean loss is compared with that of as many before them


class LevelOff:
    """`ends_early` of `run_epochs`: true once `WINDOW` epochs lower the mean loss by too little."""

    def __init__(self, tolerance: float, losses: Iterable[float] = ()):
        """Starts with the losses of earlier epochs.

        Args:
            tolerance: the fraction by which the mean loss must at least decrease; 0: never ends.
            losses: of the epochs that were trained before a run was resumed.
        """
        self._tolerance = tolerance
        self._losses = list(losses)

    def __call__(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Takes an epoch's metrics; returns whether it is the last one."""
        self._losses.append(metrics["loss"])
        if self._tolerance == 0 or len(self._losses) < 2 * WINDOW:
            return False
        before = np.mean(self._losses[-2 * WINDOW : -WINDOW])
        return bool(np.mean(self._losses[-WINDOW:]) > (1 - self._tolerance) * before)
