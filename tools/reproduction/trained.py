"""What every program of `one_run.py` returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Trained:
    """A trained network of any program.

    Attributes:
        score: uint8 images [N, H, W, 3] to maps [N, H, W] and scores [N].
        first_features: uint8 images to the teacher's layer1 and D1, [N, h, w, C] each.
        epochs: "epoch" and the mean losses of each.
        step: train steps done.
        epoch: the last one.
        seconds_per_step: the median; None where it was not measured.
        evaluations: of the test set in training, if any.
    """

    score: Callable[[Any], tuple[np.ndarray, np.ndarray]]
    first_features: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None
    epochs: list[dict[str, Any]]
    step: int
    epoch: float | None
    seconds_per_step: float | None
    evaluations: list[dict[str, Any]] = field(default_factory=list)
