"""How much an int8 model's answers differ from the float32 model's, without labels."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import rankdata

# uint8 [N, H, W, 3] to maps [N, H, W] and scores [N].
Score = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Images:
    """Good images, and some with drawn flaws, both uint8 [N, H, W, 3]."""

    good: np.ndarray
    drawn: np.ndarray

    @property
    def all(self) -> np.ndarray:
        return np.concatenate([self.good, self.drawn])


@dataclass(frozen=True)
class Limits:
    """What a comparison must reach.

    Attributes:
        rank_good: rank correlation of the scores of good images, at least. They differ little, so
          that few exchanged places change it much.
        rank_all: that of all images, at least.
        map_change: largest change of a map, by its own maximum, at most.
    """

    rank_good: float
    rank_all: float
    map_change: float


WRITTEN = Limits(0.95, 0.98, 0.06)
"""Of a file that is written, on images that played no part in making it."""

CHOSEN = Limits(0.97, 0.99, 0.03)
"""Of the layers that are chosen, so that the check is passed with a margin."""


@dataclass(frozen=True)
class Comparison:
    """Float32 and int8 on the same images.

    Attributes:
        num_good, num_drawn: numbers of images.
        rank_good: Spearman's rank correlation of the scores of good images.
        rank_all: that of all.
        map_change: largest absolute change of a pixel, by the maximum of its image's float32 map.
    """

    num_good: int
    num_drawn: int
    rank_good: float
    rank_all: float
    map_change: float

    def within(self, limits: Limits) -> bool:
        """Tells whether it reaches limits; NaN does not."""
        return bool(
            self.rank_good >= limits.rank_good
            and self.rank_all >= limits.rank_all
            and self.map_change <= limits.map_change
        )

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def compare(expected: tuple[np.ndarray, np.ndarray], score: Score, images: Images) -> Comparison:
    """Compares a model with the float32 maps and scores of the same images."""
    maps, scores = score(images.all)
    count = len(images.good)
    return Comparison(
        count,
        len(images.drawn),
        _rank(expected[1][:count], scores[:count]),
        _rank(expected[1], scores),
        float(changes(expected[0], maps).max()),
    )


def changes(expected: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Returns |difference| of maps [N, H, W] by the maximum of each expected one."""
    return np.abs(maps - expected) / expected.max(axis=(1, 2), keepdims=True)


def _rank(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:  # no order to keep, or none that was kept
        return 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
