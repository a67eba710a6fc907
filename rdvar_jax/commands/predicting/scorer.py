"""What scores the images of a prediction: a run's state or a bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import counted_values
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.serving.judgement import Thresholds


@dataclass(frozen=True, eq=False)
class Scorer:
    """A loaded run or bundle.

    Attributes:
        geometry: resizing of images to the pixels that are scored.
        batch_size: images scored at once, at most.
        score: uint8 [N, H, W, 3] to maps [N, H, W] and scores [N], float32, raw. Tiled images and
          their maps keep their own size.
        thresholds: those of the user where given, else its own.
        scale: the raw map values of no heat and of full heat; None if it knows none.
        remarks: compares images with those of training.
        about: the state and its settings, for `prediction.json`.
        title: names it for a reader, such as "Run W, step 500".
        threshold_words: describes where the threshold comes from.
    """

    geometry: Geometry
    batch_size: int
    score: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    thresholds: Thresholds
    scale: tuple[float, float] | None
    remarks: SetRemarks
    about: dict[str, Any]
    title: str
    threshold_words: str

    def counted(self, maps: np.ndarray) -> np.ndarray:
        """Returns the values of maps [N, H, W] that count, [N, H, W] or [N, number]."""
        return counted_values(maps, self.geometry, self.thresholds.ignore)


# Loads a scorer, with the thresholds of the user; raises a UserError where it cannot be used.
Load = Callable[[Thresholds], Scorer]
