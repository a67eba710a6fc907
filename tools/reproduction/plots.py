"""Curves and bars of finished runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from reproduction import collapse
from reproduction.experiments import Experiment
from reproduction.paired import mean_and_deviation
from reproduction.report import Picture, percents
from reproduction.sweep import Outcome

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402

SHOWN = {"image_auroc": "image AUROC, %", "pixel_auroc": "pixel AUROC, %"}
WIDTH = 8.0
COLORS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52")


def bars_by_category(experiment: Experiment, outcomes: Sequence[Outcome], folder: Path) -> Picture:
    """`categories.png`: each category's mean over seeds, a bar a variant."""
    categories = list(dict.fromkeys(outcome.category for outcome in outcomes))
    figure, panels = pyplot.subplots(len(SHOWN), figsize=(WIDTH, 6), layout="constrained")
    width = 0.8 / len(experiment.variants)
    for axes, (metric, label) in zip(panels, SHOWN.items(), strict=True):
        for index, variant in enumerate(experiment.variants):
            values = percents(outcomes, variant.name, metric)
            stats = [mean_and_deviation({c: values.get(c, {})})[:2] for c in categories]
            places = np.arange(len(categories)) + (index + 0.5) * width - 0.4
            means = [mean for mean, _ in stats]
            errors = [deviation or 0.0 for _, deviation in stats]
            color = COLORS[index % len(COLORS)]
            axes.bar(places, means, width, yerr=errors, capsize=3, label=variant.name, color=color)
        _zoom(axes, percents_of(experiment, outcomes, metric))
        axes.set_xticks(range(len(categories)), categories, rotation=30, ha="right")
        axes.set_ylabel(label)
    panels[0].legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    text = "AUROC by category: means over seeds, the lines are one standard deviation"
    return _save(figure, folder / "categories.png", text)


def bars_by_variant(experiment: Experiment, outcomes: Sequence[Outcome], folder: Path) -> Picture:
    """`variants.png`: each variant's mean over the categories."""
    names = [variant.name for variant in experiment.variants]
    figure, panels = pyplot.subplots(1, len(SHOWN), figsize=(WIDTH, 3.6), layout="constrained")
    for axes, (metric, label) in zip(panels, SHOWN.items(), strict=True):
        means, errors = _means(experiment, outcomes, metric)
        axes.bar(names, means, 0.6, yerr=errors, capsize=4, color=COLORS[0])
        _zoom(axes, percents_of(experiment, outcomes, metric))
        axes.set_ylabel(label)
    text = "Means over the categories and seeds, the lines are one standard deviation over seeds"
    return _save(figure, folder / "variants.png", text)


def curve_of_lambda(experiment: Experiment, outcomes: Sequence[Outcome], folder: Path) -> Picture:
    """`lambda.png`: AUROC against λ, with error bars."""
    figure, panels = pyplot.subplots(1, len(SHOWN), figsize=(WIDTH, 3.6), layout="constrained")
    # At even distances: 0 has no place on an axis of logarithms, and the values grow by factors.
    places, lambdas = range(len(experiment.variants)), lambdas_of(experiment)
    for axes, (metric, label) in zip(panels, SHOWN.items(), strict=True):
        means, errors = _means(experiment, outcomes, metric)
        axes.errorbar(places, means, yerr=errors, marker="o", capsize=4, color=COLORS[0])
        axes.axhline(means[0], color="#adb5bd", linestyle="--", linewidth=1)
        axes.set_xticks(places, [f"{value:g}" for value in lambdas])
        axes.set_xlabel("λ")
        axes.set_ylabel(label)
    text = "AUROC against λ, one standard deviation over seeds; the dashed line is λ = 0"
    return _save(figure, folder / "lambda.png", text)


def lambdas_of(experiment: Experiment) -> list[float]:
    """The values of a sweep of λ."""
    return [variant.settings["loss.lambda_var"] for variant in experiment.variants]


def collapse_curve(
    experiment: Experiment, outcomes: Sequence[Outcome], folder: Path
) -> list[Picture]:
    """`collapse.png`: each measure of `collapse.py` against λ, a line a category."""
    categories = list(dict.fromkeys(outcome.category for outcome in outcomes))
    if not any(outcome.result.get("collapse") for outcome in outcomes):
        return []
    lambdas, names = lambdas_of(experiment), collapse.MEASURES
    figure, panels = pyplot.subplots(
        len(names), 1, figsize=(WIDTH, 1.9 * len(names)), layout="constrained", sharex=True
    )
    for axes, (name, label) in zip(panels, names.items(), strict=True):
        for index, category in enumerate(categories):
            found = [
                collapse.values(outcomes, variant.name, category, name)
                for variant in experiment.variants
            ]
            places = [place for place, of_seeds in enumerate(found) if of_seeds]
            color = COLORS[index % len(COLORS)]
            for place in places:
                axes.plot([place] * len(found[place]), found[place], ".", color=color, alpha=0.4)
            means = [float(np.mean(found[place])) for place in places]
            axes.plot(places, means, marker="o", color=color, label=category)
        if name in ("loss_model", "loss_var", "spread"):
            axes.set_yscale("log")
        axes.set_title(label, fontsize=10, loc="left")
    panels[-1].set_xticks(range(len(lambdas)), [f"{value:g}" for value in lambdas])
    panels[-1].set_xlabel("λ")
    panels[0].legend(frameon=False, fontsize=9)
    text = (
        "Collapse against λ at the last epoch: losses of training, spread and effective rank of D1 "
        "over good test images, and the separation of good and defective scores; dots are runs"
    )
    return [_save(figure, folder / "collapse.png", text)]


def loss_curves(experiment: Experiment, outcomes: Sequence[Outcome], folder: Path) -> Picture:
    """`losses.png`: L_model and L_var by epoch, the mean over seeds, a row a category."""
    categories = list(dict.fromkeys(outcome.category for outcome in outcomes))
    figure, panels = pyplot.subplots(
        len(categories),
        2,
        figsize=(WIDTH, 0.6 + 2.2 * len(categories)),
        layout="constrained",
        squeeze=False,
    )
    for row, category in zip(panels, categories, strict=True):
        for axes, key, label in zip(
            row, ("loss_model", "loss_var"), ("L_model", "L_var"), strict=True
        ):
            for index, variant in enumerate(experiment.variants):
                runs = [
                    outcome.result["epochs"]
                    for outcome in outcomes
                    if (outcome.variant, outcome.category) == (variant.name, category)
                ]
                _draw_curves(axes, runs, key, variant.name, COLORS[index % len(COLORS)])
            axes.set_yscale("log")
            axes.set_title(f"{category}: {label}", fontsize=10, loc="left")
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    panels[0][0].legend(frameon=False, fontsize=9)
    text = "L_model and L_var in training: means over seeds, thin lines are single runs"
    return _save(figure, folder / "losses.png", text)


def _draw_curves(
    axes: Any, runs: Sequence[Sequence[Mapping[str, float]]], key: str, name: str, color: str
) -> None:
    if not runs:
        return
    length = min(len(run) for run in runs)
    epochs = [line["epoch"] for line in runs[0][:length]]
    curves = np.array([[line[key] for line in run[:length]] for run in runs])
    for curve in curves if len(curves) > 1 else ():
        axes.plot(epochs, curve, color=color, linewidth=0.5, alpha=0.5)
    axes.plot(epochs, curves.mean(axis=0), color=color, label=name)


def _means(
    experiment: Experiment, outcomes: Sequence[Outcome], metric: str
) -> tuple[list[float], list[float]]:
    stats = [
        mean_and_deviation(percents(outcomes, variant.name, metric))[:2]
        for variant in experiment.variants
    ]
    return [mean for mean, _ in stats], [deviation or 0.0 for _, deviation in stats]


def percents_of(experiment: Experiment, outcomes: Sequence[Outcome], metric: str) -> list[float]:
    """All values that a plot shows."""
    return [
        value
        for variant in experiment.variants
        for of in percents(outcomes, variant.name, metric).values()
        for value in of.values()
    ]


def _zoom(axes: Any, values: Sequence[float]) -> None:
    """Bars from below the lowest run: from 0 all would look alike. The label says so."""
    if values:
        low, high = min(values), max(values)
        margin = max(0.25 * (high - low), 0.5)
        axes.set_ylim(max(0.0, low - 2 * margin), min(100.5, high + margin))
    axes.annotate("axis does not begin at 0", (0.01, 0.02), xycoords="axes fraction", fontsize=7)


def _save(figure: Any, path: Path, text: str) -> Picture:
    # A fixed program name and no date, so that the same runs make the same file.
    figure.savefig(path, dpi=110, metadata={"Software": "rdvar_jax"})
    pyplot.close(figure)
    return Picture(path.name, text)
