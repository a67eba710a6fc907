"""Measures of a student whose features become the same for every image.

"Spread" is L_var's own quantity on test images: the mean of 1 - cos between the flattened D1 of an
image and the mean over the images. The teacher's layer1 has it too, for comparison.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from reproduction.experiments import Experiment
from reproduction.report import Table
from reproduction.sweep import Outcome

# D1 of so many good test images are held at once: 0.4 GB for WideResNet50 at 256 px.
MOST_IMAGES = 100
# Of a result's "collapse", with their headers.
MEASURES = {
    "loss_model": "L_model",
    "loss_var": "L_var",
    "spread": "spread of D1",
    "effective_rank": "effective rank of D1",
    "separation": "separation of scores",
}
NOTE = (
    "Collapse at the last epoch, means over seeds: L_model and L_var of training; over good test "
    "images the spread of D1 (mean of 1 - cos to their mean) and its effective rank; and the "
    "distance of the mean scores of defective and good images in standard deviations"
)


def measure(teacher: np.ndarray, student: np.ndarray) -> dict[str, Any]:
    """Computes spread and effective rank of both networks.

    Args:
        teacher: layer1 of some good images, [N, H, W, C].
        student: D1 of them, of the same shape.
    """
    measures: dict[str, Any] = {"num_images": len(student)}
    for prefix, maps in (("", student), ("teacher_", teacher)):
        vectors = maps.reshape(len(maps), -1)
        measures[f"{prefix}spread"] = spread(vectors)
        measures[f"{prefix}effective_rank"] = effective_rank(vectors)
    return measures


def spread(vectors: np.ndarray) -> float:
    """Returns the mean of 1 - cos of each of [N, D] and their mean vector."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    products = vectors @ mean.astype(vectors.dtype)
    return float(np.mean(1 - products / np.maximum(lengths * np.linalg.norm(mean), 1e-30)))


def effective_rank(vectors: np.ndarray) -> float:
    """Returns exp of the entropy of the shares of variance of [N, D]; 1 to N - 1.

    References:
        Roy and Vetterli, "The effective rank: a measure of effective dimensionality", 2007; here
        of the eigenvalues of the covariance.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(vectors.dtype)
    values = np.linalg.eigvalsh((centred @ centred.T).astype(np.float64)).clip(0)
    if values.sum() == 0:
        return 1.0
    shares = values[values > 1e-12 * values.max()] / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def separation(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Returns the distance of the mean scores of defective and good in standard deviations.

    The deviation is the root of the mean of both variances. None without two scores of each.
    """
    good, defective = (scores[labels == label].astype(np.float64) for label in (0, 1))
    if min(len(good), len(defective)) < 2:
        return None
    deviation = ((good.var(ddof=1) + defective.var(ddof=1)) / 2) ** 0.5
    return float((defective.mean() - good.mean()) / deviation) if deviation > 0 else None


def values(outcomes: Sequence[Outcome], variant: str, category: str, measure_: str) -> list[float]:
    """A measure of a variant's runs on one category, by seed."""
    found = (
        outcome.result["collapse"][measure_]
        for outcome in outcomes
        if (outcome.variant, outcome.category) == (variant, category)
        and outcome.result.get("collapse")
    )
    return [value for value in found if value is not None]


def tables(experiment: Experiment, outcomes: Sequence[Outcome]) -> list[Table]:
    """One table, a row a category and variant; none where no run has the measures."""
    rows = []
    for category in dict.fromkeys(outcome.category for outcome in outcomes):
        for variant in experiment.variants:
            cells = [values(outcomes, variant.name, category, name) for name in MEASURES]
            if any(cells):
                rows.append([category, variant.name, *map(_mean_and_deviation, cells)])
    return [Table(NOTE, ["category", "variant", *MEASURES.values()], rows)] if rows else []


def _mean_and_deviation(of_seeds: Sequence[float]) -> str:
    if not of_seeds:
        return ""
    mean = np.mean(of_seeds)
    deviation = f" ± {np.std(of_seeds, ddof=1):.2g}" if len(of_seeds) > 1 else ""
    return f"{mean:.3g}{deviation}"
