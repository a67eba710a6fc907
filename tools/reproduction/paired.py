"""Statistics of runs over seeds: spread, and differences of runs that share category and seed.

Runs of two variants with the same category and seed see the same images in the same order and
start from the same values, so their difference says more than that of two means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
SIGNIFICANT = 0.05
RESAMPLES = 9999
# Two values closer than this are the same: far under the weight of one image or pixel.
TIE = 1e-9


@dataclass(frozen=True)
class Difference:
    """Difference of the second of two variants from the first.

    Attributes:
        mean: over the categories, of the mean over the seeds.
        low, high: bootstrap interval of the mean; None where there is but one seed.
        wins, ties, losses: pairs in which the second is larger, equal, smaller.
        p: of the exact sign test, two-sided, over the pairs that are not tied.
        smallest_p: what it can be at best with so many pairs.
        t_low, t_high: 95 % t interval of the mean; None where a category has but one seed.
    """

    mean: float
    low: float | None
    high: float | None
    wins: int
    ties: int
    losses: int
    p: float
    smallest_p: float
    t_low: float | None = None
    t_high: float | None = None

    @property
    def num_pairs(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def excludes_zero(self) -> bool:
        """Whether the bootstrap interval excludes 0."""
        return self.low is not None and self.high is not None and self.low * self.high > 0

    @property
    def exceeds_noise(self) -> bool:
        """Whether the interval excludes 0 and the sign test agrees.

        The interval alone will not do: of three seeds it is the range of the three differences,
        which are on one side by chance in a quarter of all cases.
        """
        return self.excludes_zero and self.p < SIGNIFICANT


def paired_difference(
    first: Mapping[str, Mapping[int, float]], second: Mapping[str, Mapping[int, float]]
) -> Difference | None:
    """Compares two variants.

    The bootstrap draws seeds with replacement within each category; the categories are fixed,
    since nobody drew them.

    Args:
        first: the reference: by category and seed.
        second: the other one. Pairs that are missing in either are left out.

    Returns:
        The difference, or None where no pair is complete.
    """
    pairs = {
        category: np.array([second[category][seed] - values[seed] for seed in sorted(common)])
        for category, values in first.items()
        if (common := values.keys() & second.get(category, {}).keys())
    }
    if not pairs:
        return None
    samples = tuple(pairs.values())
    low = high = t_low = t_high = None
    if min(len(sample) for sample in samples) > 1:
        low, high = _bootstrap(samples)
        t_low, t_high = t_interval(samples)
    every = np.concatenate(samples)
    wins, losses = int(np.sum(every > TIE)), int(np.sum(every < -TIE))
    decided = wins + losses
    return Difference(
        mean=_mean_of_means(*samples),
        low=low,
        high=high,
        wins=wins,
        ties=len(every) - decided,
        losses=losses,
        p=float(stats.binomtest(wins, decided).pvalue) if decided else 1.0,
        smallest_p=min(1.0, 2.0 * 0.5 ** len(every)),
        t_low=t_low,
        t_high=t_high,
    )


def t_interval(samples: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of the categories' means of paired differences.

    Of one category it is the paired t interval over its seeds. Over several, which are fixed, the
    variances of their means add up, and the degrees of freedom are Welch and Satterthwaite's.

    Args:
        samples: differences by seed of each category, two or more each.
    """
    number = len(samples)
    variances = np.array([sample.var(ddof=1) / len(sample) for sample in samples]) / number**2
    mean, variance = float(_mean_of_means(*samples)), float(variances.sum())
    if variance == 0:
        return mean, mean
    lengths = np.array([len(sample) for sample in samples])
    freedom = variance**2 / float((variances**2 / (lengths - 1)).sum())
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * variance**0.5
    return mean - half, mean + half


def _mean_of_means(*samples: np.ndarray, axis: int = -1):
    return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)


def _bootstrap(samples: tuple[np.ndarray, ...]) -> tuple[float, float]:
    interval = stats.bootstrap(
        samples,
        _mean_of_means,
        n_resamples=RESAMPLES,
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def mean_and_deviation(
    values: Mapping[str, Mapping[int, float]],
) -> tuple[float, float | None, int]:
    """Mean and standard deviation over seeds of the mean over categories.

    Returns:
        Mean; deviation (n - 1), None with one seed; and the number of seeds. Only seeds count that
        all categories have.
    """
    common = sorted(set.intersection(*(set(of) for of in values.values()))) if values else []
    if not common:
        return float("nan"), None, 0
    means = [np.mean([of[seed] for of in values.values()]) for seed in common]
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else None
    return float(np.mean(means)), deviation, len(means)


def count_categories(
    first: Sequence[float], second: Sequence[float], digits: int | None = None
) -> tuple[int, int, int]:
    """In how many categories the second value is larger, equal and smaller.

    Args:
        first, second: one value a category.
        digits: compare as printed with so many decimals; None compares in full.
    """
    difference = np.subtract(second, first)
    if digits is not None:
        difference = np.subtract(np.round(second, digits), np.round(first, digits))
    more, fewer = int(np.sum(difference > TIE)), int(np.sum(difference < -TIE))
    return more, len(difference) - more - fewer, fewer
