"""Tables III to V and Fig. 4: one line for each variant, as means over the categories."""

from collections.abc import Sequence

from reproduction import collapse, paper
from reproduction.by_time import seconds
from reproduction.experiments import Experiment
from reproduction.findings import METRICS, PAIRED_HEADER, paired_cells, verdict
from reproduction.paired import mean_and_deviation, paired_difference
from reproduction.report import Table, percents, plus_minus, signed, spread
from reproduction.sweep import Outcome

PAPER = {"table3": paper.TABLE3, "table4": paper.TABLE4, "table5": paper.TABLE5}
# Of the paper's means over fifteen categories, image and pixel.
IN_PAPER = ("image_auroc", "pixel_auroc")


def tables(experiment: Experiment, outcomes: Sequence[Outcome]) -> list[Table]:
    """One table for each metric, with differences from the reference; collapse; seconds."""
    return [
        *(_table(experiment, outcomes, metric) for metric in METRICS),
        *collapse.tables(experiment, outcomes),
        _seconds(experiment, outcomes),
    ]


def _seconds(experiment: Experiment, outcomes: Sequence[Outcome]) -> Table:
    categories = list(dict.fromkeys(outcome.category for outcome in outcomes))
    rows = []
    for variant in experiment.variants:
        found = seconds(outcomes, variant.name, "train_seconds")
        rows.append([variant.name, *(spread(found.get(category, {})) for category in categories)])
    return Table("Seconds of training from start to end", ["variant", *categories], rows)


def _table(experiment: Experiment, outcomes: Sequence[Outcome], metric: str) -> Table:
    printed = PAPER.get(experiment.name) if metric in IN_PAPER else None
    reference = percents(outcomes, experiment.reference, metric)
    header = ["variant", f"{METRICS[metric]}, %", *PAIRED_HEADER]
    if printed:
        header += ["paper", "ours - paper"]
    rows = []
    for variant in experiment.variants:
        values = percents(outcomes, variant.name, metric)
        mean, deviation, number = mean_and_deviation(values)
        is_reference = variant.name == experiment.reference
        pair = None if is_reference else paired_difference(reference, values)
        row = [variant.name, plus_minus(mean, deviation) if number else ""]
        row += (
            ["reference", *[""] * (len(PAIRED_HEADER) - 1)] if is_reference else paired_cells(pair)
        )
        if printed:
            value = printed[variant.name][IN_PAPER.index(metric)]
            row += [f"{value:.2f}", signed(mean - value if number else None)]
        rows.append(row)
    return Table(f"{METRICS[metric]}, difference from {experiment.reference}", header, rows)


def findings(experiment: Experiment, outcomes: Sequence[Outcome]) -> list[str]:
    """Of each variant, whether it differs from the reference by more than seed noise."""
    sentences = []
    for metric in IN_PAPER:
        reference = percents(outcomes, experiment.reference, metric)
        for variant in experiment.variants:
            if variant.name != experiment.reference:
                values = percents(outcomes, variant.name, metric)
                pair = paired_difference(reference, values)
                sentences.append(
                    verdict(METRICS[metric], experiment.reference, variant.name, pair, reference)
                )
    return sentences
