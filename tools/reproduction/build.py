"""Writes the folder of an experiment: report, tables, pictures, environment."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from collect_results import machine

from rdvar_jax.files.replacing import write_json, write_text
from rdvar_jax.runs.config import RANDOM_WEIGHTS, Config, flatten
from rdvar_jax.version import __version__
from reproduction import by_category, by_time, by_variant, heat_maps, paper, plots
from reproduction.addresses import PACKAGES, SECTIONS_WITHOUT_EFFECT, WITHOUT_EFFECT
from reproduction.experiments import Experiment
from reproduction.paired import SIGNIFICANT
from reproduction.report import (
    Picture,
    Report,
    Table,
    markdown,
    runs_csv,
    runs_jsonl,
    tables_csv,
)
from reproduction.sweep import Outcome

PAPER_SETTING = {
    "teacher.arch": "wide_resnet50_2",
    "data.image_size": 256,
    "train.batch_size": 16,
    "train.epochs": 200,
}
STATISTICS = (
    "Values are of the last epoch: mean ± standard deviation over the seeds. Differences are of "
    "runs with the same category and seed, with a paired t interval, a bootstrap interval over the "
    "seeds and an exact two-sided sign test over the pairs. A difference exceeds seed noise where "
    f"the interval of the bootstrap excludes 0 and p < {SIGNIFICANT}; n pairs cannot reach less "
    "than p = 2 / 2^n, 0.25 for three."
)


def write_experiment(
    experiment: Experiment,
    outcomes: Sequence[Outcome],
    missing: Sequence[str],
    base: Config,
    commit: str | None,
    folder: Path,
    epochs: Mapping[str, int] = MappingProxyType({}),
) -> Report:
    """Writes everything that there is to say of an experiment.

    Args:
        experiment: one of EXPERIMENTS.
        outcomes: its finished runs.
        missing: a sentence for each run that has no result.
        base: the config that the variants were put on.
        commit: of the checkout, or None.
        folder: made if missing; files of an earlier report are replaced.
        epochs: of categories that have other ones than the base config.

    Returns:
        What `report.json` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    findings, tables, pictures = _parts(experiment, outcomes, folder) if outcomes else ([], [], [])
    report = Report(
        name=experiment.name,
        title=experiment.title,
        warnings=_warnings(base, outcomes, missing),
        setting=_setting(base, outcomes, epochs),
        findings=findings,
        tables=tables,
        pictures=pictures,
        missing=list(missing),
    )
    write_text(folder / "table.md", markdown(report))
    write_text(folder / "table.csv", tables_csv(report))
    write_text(folder / "runs.csv", runs_csv(outcomes))
    write_text(folder / "runs.jsonl", runs_jsonl(outcomes))
    write_json(folder / "environment.json", environment(base, outcomes, commit))
    write_text(folder / "report.json", report.to_json())
    return report


def _parts(
    experiment: Experiment, outcomes: Sequence[Outcome], folder: Path
) -> tuple[list[str], list[Table], list[Picture]]:
    match experiment.name:
        case "table1":
            pictures = [
                plots.bars_by_category(experiment, outcomes, folder),
                plots.loss_curves(experiment, outcomes, folder),
            ]
            return by_category.findings(outcomes), by_category.tables(outcomes), pictures
        case "table2":
            return by_time.findings(outcomes), by_time.tables(outcomes), []
        case "fig3":
            return [heat_maps.NOTE], [], heat_maps.draw_panels(outcomes, folder)
        case "fig4":
            pictures = [plots.curve_of_lambda(experiment, outcomes, folder)]
            pictures += plots.collapse_curve(experiment, outcomes, folder)
        case _:
            pictures = [plots.bars_by_variant(experiment, outcomes, folder)]
    pictures.append(plots.loss_curves(experiment, outcomes, folder))
    return (
        by_variant.findings(experiment, outcomes),
        by_variant.tables(experiment, outcomes),
        pictures,
    )


def _warnings(base: Config, outcomes: Sequence[Outcome], missing: Sequence[str]) -> list[str]:
    warnings = []
    if base.teacher.weights == RANDOM_WEIGHTS:
        warnings.append(
            "RANDOM WEIGHTS: the teacher is untrained (--random_weights). This shows that the "
            "experiment runs; no number here says anything about the method."
        )
    settings = flatten(base)
    others = [
        f"{name} = {settings[name]} instead of {value}"
        for name, value in PAPER_SETTING.items()
        if settings[name] != value
    ]
    categories = {outcome.category for outcome in outcomes}
    if categories != set(paper.TABLE1):
        ours = sorted(categories & set(paper.TABLE1))
        others.append(
            f"{len(categories)} categories, of which {len(ours)} are among the paper's 15"
        )
    if others:
        warnings.append(
            f"Not the paper's setting: {'; '.join(others)}. The paper's numbers are beside ours "
            "for orientation; ours neither confirm nor refute them."
        )
    if missing:
        number = len(missing)
        warnings.append(f"Incomplete: {number} run(s) have no result, see the end.")
    return warnings


def _setting(base: Config, outcomes: Sequence[Outcome], epochs: Mapping[str, int]) -> str:
    categories = list(dict.fromkeys(outcome.category for outcome in outcomes))
    seeds = sorted({outcome.seed for outcome in outcomes})
    devices = sorted({outcome.result["device"] for outcome in outcomes})
    precision = base.compute.precision
    if devices == ["cpu"] and precision == "tf32":
        precision = "float32"  # what CPUs compute then
    other_epochs = "".join(f" ({name}: {epochs[name]})" for name in categories if name in epochs)
    return (
        f"{base.teacher.arch}, {base.data.image_size} px, batch {base.train.batch_size}, "
        f"{base.train.epochs} epochs{other_epochs}, λ = {base.loss.lambda_var:g}, unless a variant "
        f"says otherwise; categories: {', '.join(categories)}; "
        f"seeds: {', '.join(map(str, seeds))}; "
        f"{precision} on {', '.join(devices) or 'nothing yet'}. {STATISTICS}"
    )


def environment(base: Config, outcomes: Sequence[Outcome], commit: str | None) -> dict[str, Any]:
    """Environment of the results, without paths."""
    first = outcomes[0].result if outcomes else None
    return {
        "commit": commit,
        "rdvar_jax": __version__,
        "code": first and first["code"],
        "python": platform.python_version(),
        "versions": first["versions"] if first else dict.fromkeys(PACKAGES),
        "machine": machine(),
        "devices": sorted({outcome.result["device"] for outcome in outcomes}),
        "load_average": list(os.getloadavg()),
        "teacher": first and first["teacher"],
        "data": {outcome.category: outcome.result["data"] for outcome in outcomes},
        "runs": sorted({outcome.result["address"] for outcome in outcomes}),
        "settings": {
            name: value
            for name, value in flatten(base).items()
            if name not in WITHOUT_EFFECT and name.split(".")[0] not in SECTIONS_WITHOUT_EFFECT
        },
    }
