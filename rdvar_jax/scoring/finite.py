"""Refusal of scores that are not finite: compared with a threshold, NaN would be good."""

from collections.abc import Sequence

import numpy as np

from rdvar_jax.errors import DataError


def not_finite(name: str, score: float) -> str:
    """Returns the sentence about an image's score that is not finite."""
    return (
        f"{name} has the score {score}, which is not a finite number and so no verdict; the "
        "model's weights are damaged or overflow on this image: check it on other images, and "
        "train again."
    )


def refuse_not_finite(names: Sequence[str], scores: np.ndarray) -> None:
    """Raises a DataError that names the first image whose score is not finite.

    Args:
        names: of N images.
        scores: [N].
    """
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        first = int(bad[0])
        raise DataError(not_finite(names[first], float(scores[first])))
