"""Table I: two variants side by side, category by category."""

from collections.abc import Mapping, Sequence

import numpy as np

from reproduction import paper
from reproduction.experiments import RD, RD_L_VAR
from reproduction.findings import (
    METRICS,
    PAIRED_HEADER,
    paired_cells,
    registered_verdict,
    verdict,
)
from reproduction.paired import count_categories, mean_and_deviation, paired_difference
from reproduction.report import Table, percents, plus_minus, signed
from reproduction.sweep import Outcome

Values = Mapping[str, Mapping[int, float]]
PAPER_COLUMN = {"image_auroc": 0, "pixel_auroc": 1}
STILL_FALLING = 0.1  # of itself, in the last quarter of the epochs
NAMES = (RD.name, RD_L_VAR.name)


def tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """One table for each metric, the paper's numbers beside ours where it has some."""
    return [_table(outcomes, metric) for metric in METRICS]


def _table(outcomes: Sequence[Outcome], metric: str) -> Table:
    first, second = (percents(outcomes, name, metric) for name in NAMES)
    oracles = [percents(outcomes, name, metric, "oracle") for name in NAMES]
    has_oracle = any(oracles)
    header = ["category", *NAMES, *PAIRED_HEADER]
    if metric in PAPER_COLUMN:
        header += [f"paper: {name}" for name in NAMES]
        header += [f"{name}: ours - paper" for name in NAMES]
    if has_oracle:
        header += [f"oracle: {name}, best epoch on test" for name in NAMES]

    def row(name: str, own: Sequence[Values], best: Sequence[Values], of_paper) -> list[str]:
        whole = [mean_and_deviation(values) for values in own]
        cells = [name, *(plus_minus(mean, sd) if n else "" for mean, sd, n in whole)]
        cells += paired_cells(paired_difference(*own))
        if metric in PAPER_COLUMN:
            cells += ["" if value is None else f"{value:.1f}" for value in of_paper]
            cells += [
                signed(None if value is None or not n else mean - value)
                for (mean, _, n), value in zip(whole, of_paper, strict=True)
            ]
        if has_oracle:
            bests = [mean_and_deviation(values) for values in best]
            cells += [plus_minus(mean, sd) if n else "" for mean, sd, n in bests]
        return cells

    categories = list(dict.fromkeys(outcome.category for outcome in outcomes))
    rows = [
        row(
            category,
            [_only(values, category) for values in (first, second)],
            [_only(values, category) for values in oracles],
            of_paper(category, metric),
        )
        for category in categories
    ]
    # The paper's mean is of fifteen categories: no number to set beside the mean of others.
    complete = set(categories) == set(paper.TABLE1)
    means = paper_means(metric) if complete else (None, None)
    rows.append(row("mean", (first, second), oracles, means))
    return Table(f"{METRICS[metric]}, %", header, rows)


def _only(values: Values, category: str) -> Values:
    return {category: values[category]} if category in values else {}


def of_paper(category: str, metric: str) -> tuple[float | None, float | None]:
    """The paper's two numbers of a category; None for what it does not have."""
    if category not in paper.TABLE1 or metric not in PAPER_COLUMN:
        return None, None
    first, second = (pair[PAPER_COLUMN[metric]] for pair in paper.TABLE1[category])
    return first, second


def paper_means(metric: str) -> tuple[float | None, float | None]:
    """The means of the paper's columns."""
    if metric not in PAPER_COLUMN:
        return None, None
    columns = np.array([of_paper(category, metric) for category in paper.TABLE1], float)
    first, second = columns.mean(axis=0)
    return float(first), float(second)


def findings(outcomes: Sequence[Outcome]) -> list[str]:
    """Sentences on whether L_var helps beyond seed noise, and in how many categories."""
    image = [percents(outcomes, name, "image_auroc") for name in NAMES]
    sentences = [registered_verdict(paired_difference(*image)), *levelled_off(outcomes)]
    for metric, name in METRICS.items():
        first, second = (percents(outcomes, variant, metric) for variant in NAMES)
        sentences.append(verdict(name, *NAMES, paired_difference(first, second), first))
    sentences += [_counts(outcomes, metric) for metric in PAPER_COLUMN]
    return sentences


def levelled_off(outcomes: Sequence[Outcome]) -> list[str]:
    """Says whether L_model still fell at the end, as docs/evidence.md has it."""
    falls: dict[str, list[float]] = {}
    for outcome in outcomes:
        losses = [line["loss_model"] for line in outcome.result["epochs"]]
        quarter = len(losses) // 4
        if quarter:
            fall = 1 - losses[-1] / losses[-1 - quarter]
            falls.setdefault(outcome.category, []).append(fall)
    if not falls:
        return []
    means = {category: float(np.mean(values)) for category, values in falls.items()}
    still = [category for category, mean in means.items() if mean > STILL_FALLING]
    said = ", ".join(f"{mean:.0%} ({category})" for category, mean in means.items())
    return [
        f"In the last quarter of the epochs L_model fell by {said}; more than "
        f"{STILL_FALLING:.0%} counts as not levelled off: {', '.join(still) or 'none'}."
    ]


def _counts(outcomes: Sequence[Outcome], metric: str) -> str:
    first, second = (percents(outcomes, variant, metric) for variant in NAMES)
    common = [category for category in first if category in second]
    own = [[float(np.mean(list(of[c].values()))) for c in common] for of in (first, second)]
    printed = [list(column) for column in zip(*map(_pair(metric), paper.TABLE1), strict=True)]
    return (
        f"{METRICS[metric]}, means over seeds: more with L_var in {_in_words(own, None)} of "
        f"{len(common)} categories, and as printed with one decimal {_in_words(own, 1)}. The "
        f"paper's text says {paper.TABLE1_WORDS[metric]}; its table has {_in_words(printed, None)}."
    )


def _pair(metric: str):
    return lambda category: of_paper(category, metric)


def _in_words(columns: Sequence[Sequence[float]], digits: int | None) -> str:
    more, same, fewer = count_categories(columns[0], columns[1], digits)
    return f"{more} (the same {same}, less {fewer})"
