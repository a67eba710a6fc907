"""Sweeps: finds the runs that experiments need, and runs the unfinished ones."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rdvar_jax.files.replacing import write_json
from rdvar_jax.runs.config import Config, config_from_json
from reproduction.addresses import address, identity
from reproduction.experiments import EXPERIMENTS, Cell, Experiment, cells, sweep_of_lambda
from reproduction.run_folder import RunFolder

PLAN = "plan.json"


@dataclass(frozen=True)
class Request:
    """A run that is asked for, and the folder that it has or will have."""

    run: RunFolder
    identity: dict[str, Any]
    config: Config


@dataclass(frozen=True)
class Plan:
    """The runs of one call.

    Attributes:
        asked: of each experiment, its cells and the addresses of their runs.
        requests: every run once, by address, in the order in which they are to be made.
    """

    asked: dict[str, list[tuple[Cell, str]]]
    requests: dict[str, Request]

    @property
    def unfinished(self) -> list[Request]:
        return [request for request in self.requests.values() if not request.run.is_finished]


@dataclass(frozen=True)
class Outcome:
    """A finished run as an experiment sees it."""

    variant: str
    category: str
    seed: int
    result: dict[str, Any]
    timing: dict[str, Any]
    run: RunFolder


def make_plan(
    experiments: Sequence[Experiment],
    base: Config,
    categories: Sequence[str],
    seeds: Sequence[int],
    output: Path,
    epochs: Mapping[str, int] = MappingProxyType({}),
    weights_needed: bool = True,
) -> Plan:
    """Determines the address of every run; nothing is written.

    Args:
        experiments: in the order in which their runs are made.
        base: the config that the experiments' variants change.
        categories: of `data.root`.
        seeds: values of `train.seed`.
        output: the folder that has the folder `runs`.
        epochs: of categories that have other ones than the base config.
        weights_needed: else weights that are not at hand are not missed; see `identity`.

    Raises:
        UserError: images, masks or weights are not there, or the experiment makes no sense.
    """
    asked: dict[str, list[tuple[Cell, str]]] = {}
    requests: dict[str, Request] = {}
    for experiment in experiments:
        asked[experiment.name] = []
        for cell in cells(experiment, base, categories, seeds, epochs):
            of = identity(cell.config, cell.program, weights_needed)
            name = address(of)
            requests[name] = Request(RunFolder(output / "runs" / name), of, cell.config)
            asked[experiment.name].append((cell, name))
    return Plan(asked, requests)


def outcomes(plan: Plan, experiment: str) -> list[Outcome]:
    """The finished runs of an experiment, in the order of its grid."""
    return [
        Outcome(
            cell.variant,
            cell.category,
            cell.seed,
            json.loads(run.result.read_text()),
            json.loads(run.timing.read_text()),
            run,
        )
        for cell, name in plan.asked[experiment]
        if (run := plan.requests[name].run).is_finished
    ]


def failures(plan: Plan, experiment: str) -> list[str]:
    """One sentence for each run of an experiment that has no result."""
    sentences = []
    for cell, name in plan.asked[experiment]:
        run = plan.requests[name].run
        if not run.is_finished:
            reason = run.read_failure() or "it has not been run to its end"
            where = f"{cell.variant}, {cell.category}, seed {cell.seed} (runs/{name})"
            sentences.append(f"{where}: {reason}")
    return sentences


def write_plan(plan: Plan, base: Config, epochs: Mapping[str, int], commit: str | None, to: Path):
    """Writes what each experiment asks for into its folder, from which `read_plan` reports.

    So a report needs neither images nor weights, nor the code that made the runs.
    """
    for name, asked in plan.asked.items():
        runs = [
            {
                "variant": cell.variant,
                "category": cell.category,
                "seed": cell.seed,
                "settings": {"loss.lambda_var": cell.config.loss.lambda_var},
                "run": address_,
            }
            for cell, address_ in asked
        ]
        (to / name).mkdir(parents=True, exist_ok=True)
        content = {
            "config": json.loads(base.to_json()),
            "epochs": dict(epochs),
            "commit": commit,
            "runs": runs,
        }
        write_json(to / name / PLAN, content)


@dataclass(frozen=True)
class WrittenPlan:
    """What `write_plan` wrote of one experiment."""

    experiment: Experiment
    plan: Plan
    base: Config
    epochs: dict[str, int]
    commit: str | None


def read_plan(path: Path) -> WrittenPlan:
    """Reads one experiment's file of `write_plan`."""
    content = json.loads(path.read_text())
    base = config_from_json(json.dumps(content["config"]))
    name, output = path.parent.name, path.parents[1]
    experiment = EXPERIMENTS[name]
    if name == "fig4":
        experiment = sweep_of_lambda(
            [run["settings"]["loss.lambda_var"] for run in content["runs"]]
        )
    asked = [
        (Cell(run["variant"], run["category"], run["seed"], base), run["run"])
        for run in content["runs"]
    ]
    requests = {name: Request(RunFolder(output / "runs" / name), {}, base) for _, name in asked}
    plan = Plan({experiment.name: asked}, requests)
    return WrittenPlan(experiment, plan, base, content["epochs"], content["commit"])


class Progress:
    """Reports how each run ended."""

    def __init__(self, number: int):
        self._number = number
        self._done = 0

    def ended(self, folder: Path) -> None:
        run = RunFolder(folder)
        self._done += 1
        place = f"[{self._done}/{self._number}] {folder.name}"
        if run.is_finished:
            result = json.loads(run.result.read_text())
            auroc = result["metrics"]["image_auroc"]
            text = "no image AUROC" if auroc is None else f"image AUROC {100 * auroc:.2f}"
            print(f"{place} {result['category']}, seed {result['seed']}: {text}", flush=True)
        elif (reason := run.read_failure()) is not None:
            print(f"{place} failed: {reason}", file=sys.stderr, flush=True)
        else:
            print(f"{place} stopped", file=sys.stderr, flush=True)
