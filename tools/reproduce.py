"""Reproduces the paper's tables and figures, with statistics over seeds, from one command.

    python tools/reproduce.py --experiment table1 --data.root MVTEC_AD --seeds 0,1,2 --dry_run
    python tools/reproduce.py --experiment all --data.root MVTEC_AD --output results
    python tools/reproduce.py report --output results

A run is stored under the hash of its settings, images, teacher and code. Finished runs are never
repeated, and the same command resumes a stopped or killed one. A run that fails is reported and
tried again the next time. The last command writes all tables again from the runs in a folder, with
neither images nor weights, also while runs are made. Exit codes: 0 done, 1 some runs have no
result, 2 an error to fix, 130 stopped by Ctrl-C.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from collect_results import checkout_commit
from exit_code import exit_code
from reproduction import cost
from reproduction.build import write_experiment
from reproduction.experiments import EXPERIMENTS, LAMBDAS, PAPERS, Experiment, sweep_of_lambda
from reproduction.local import find_slots, run_local
from reproduction.page import write_page
from reproduction.ray_cluster import connect, num_slots, run_on_ray
from reproduction.sweep import (
    PLAN,
    Plan,
    Progress,
    WrittenPlan,
    failures,
    make_plan,
    outcomes,
    read_plan,
    write_plan,
)

from rdvar_jax.cli.parser import Parser, Switch
from rdvar_jax.cli.settings import Setting, read_config, take_settings
from rdvar_jax.data.sets.folder import list_categories
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import RANDOM_WEIGHTS, Config, resolved

PAPER_CONFIG = "wrn50"


def reproduce(argv: list[str]) -> int:
    """Runs the command and returns the exit code; `argv` starts after the program's name."""
    if argv[:1] == ["report"]:
        return report_again(argv[1:])
    settings, words = take_settings(argv)
    args = build_parser().read(words)
    base = base_config(args, settings)
    categories = split(args.categories) or list_categories(Path(base.data.root))
    output = args.output.resolve()
    names = list(PAPERS) if args.experiment == "all" else [args.experiment]
    dry, steps = args.dry_run, 0 if args.no_probe else args.probe_steps
    known = {**EXPERIMENTS, "fig4": sweep_of_lambda(lambdas(args.lambdas))}
    experiments = [known[name] for name in names]
    other_epochs = {name: n for name, n in epochs(args.epochs).items() if name}
    unknown = set(other_epochs) - set(categories)
    if unknown:
        raise ConfigError(f"--epochs names {unknown.pop()!r}, which is not among the categories.")
    plan = make_plan(
        experiments, base, categories, seeds(args.seeds), output, other_epochs, not dry
    )
    tell_plan(plan, experiments, categories)
    keep = args.keep_checkpoints
    waiting = plan.unfinished
    commit = checkout_commit()
    if not dry:
        make_folder(output)
        write_plan(plan, base, other_epochs, commit, output)
    if waiting and not (dry and steps == 0):
        make_folder(output)
        slots = find_slots()
        ray = None
        if args.executor == "ray":
            ray = connect(args.address)
        if steps > 0:
            measured = cost.probe(waiting[0], steps, slots[0])
            at_once = num_slots(ray) if ray else len(slots)
            print(cost.describe(waiting, measured, at_once, keep), flush=True)
        if not dry:
            for request in waiting:
                request.run.ask(request.identity, request.config)
            folders = [request.run.folder for request in waiting]
            progress = Progress(len(folders))
            if ray:
                run_on_ray(ray, folders, keep, progress.ended)
            else:
                run_local(folders, keep, slots, progress.ended)
    if dry:
        return 0
    for experiment in experiments:
        write_one(WrittenPlan(experiment, plan, base, other_epochs, commit), output)
    return finish(plan, names, output)


def report_again(argv: list[str]) -> int:
    """Runs `reproduce.py report` and returns the exit code."""
    parser = Parser(prog="reproduce.py report", description="Writes all tables again.")
    parser.add_path(
        "--output", "directory", default=Path("results"), metavar="FOLDER", help="of the sweep"
    )
    output = parser.read(argv).output.resolve()
    found = [output / name / PLAN for name in EXPERIMENTS if (output / name / PLAN).exists()]
    if not found:
        raise ConfigError(
            f"--output={output} holds no {PLAN} of an experiment; give the folder of a sweep."
        )
    code = 0
    for path in found:
        written = read_plan(path)
        write_one(written, output)
        code = max(code, finish(written.plan, [written.experiment.name], output))
    return code


def build_parser() -> Parser:
    """Builds the parser of the command."""
    parser = Parser(prog="reproduce.py", description=__doc__)
    parser.add_argument(
        "--experiment",
        choices=[*EXPERIMENTS, "all"],
        required=True,
        metavar="NAME",
        help=f"{', '.join(EXPERIMENTS)}; or all, which is those of the paper",
    )
    parser.add_path(
        "--data.root",
        "directory",
        dest="root",
        metavar="FOLDER",
        help="the folder of categories (default: data.root of the config)",
    )
    parser.add_argument(
        "--categories",
        default="",
        metavar="NAMES",
        help="a selection, such as screw,leather (default: all)",
    )
    parser.add_argument(
        "--seeds",
        default="0,1,2",
        help="one run of every variant and category per seed",
    )
    parser.add_argument(
        "--epochs",
        default="",
        metavar="NUMBERS",
        help="passes over the training images, also by category, as in 40,leather=200 (default: "
        "those of the config)",
    )
    parser.add_argument(
        "--lambdas",
        default=",".join(f"{value:g}" for value in LAMBDAS),
        metavar="VALUES",
        help="values of fig4; 0 is always among them",
    )
    parser.add_argument(
        "--config",
        default=PAPER_CONFIG,
        metavar="PRESET",
        help="the base config, a preset or a file; --config.SECTION.NAME=VALUE changes a setting "
        f"(default: {PAPER_CONFIG})",
    )
    parser.add_argument(
        "--random_weights",
        action=Switch,
        help="use an untrained teacher, to check that everything runs",
    )
    parser.add_argument(
        "--oracle_every",
        type=at_least(0),
        default=0,
        metavar="EPOCHS",
        help="interval of evaluations for the column of the best epoch on the test set; 0: never",
    )
    parser.add_argument(
        "--keep_checkpoints",
        action=Switch,
        help="keep the checkpoints of finished runs, gigabytes each",
    )
    parser.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="one run after the other, or one per GPU; or on Ray, with the extra `ray`",
    )
    parser.add_argument(
        "--address",
        default="",
        help="address of a Ray cluster whose machines see the same folders (default: this machine)",
    )
    parser.add_path(
        "--output",
        "directory",
        default=Path("results"),
        metavar="FOLDER",
        help="folder for index.html, one folder per experiment, and runs/",
    )
    parser.add_argument(
        "--dry_run",
        action=Switch,
        help="print the number of runs and their cost, and stop; with --no_probe also without "
        "weights",
    )
    parser.add_argument(
        "--no_probe",
        action="store_true",
        help="do not measure the cost first",
    )
    parser.add_argument(
        "--probe_steps",
        type=at_least(0),
        default=20,
        metavar="STEPS",
        help="training steps to measure the cost with",
    )
    return parser


def at_least(least: int) -> Callable[[str], int]:
    """Makes a reader of whole numbers that are not below `least`."""

    def read(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least {least}")
        return int(text)

    return read


def base_config(args: argparse.Namespace, settings: Sequence[Setting]) -> Config:
    """Reads the config that the experiments' variants change.

    Raises:
        ConfigError: the config or a setting cannot be used, or data is missing.
    """
    config = read_config(args.config, settings)
    if args.root is not None:
        config.data.root = str(args.root)
    if not config.data.root:
        raise ConfigError("--data.root is missing; give the folder of categories.")
    config.train.epochs = epochs(args.epochs).get("", config.train.epochs)
    if args.random_weights:
        config.teacher.weights = RANDOM_WEIGHTS
    config.train.evaluate_every_epochs = args.oracle_every
    return resolved(config)


def seeds(text: str) -> list[int]:
    """Reads the numbers of --seeds."""
    names = split(text)
    if not names or not all(name.isdigit() for name in names) or len(set(names)) < len(names):
        raise ConfigError(f"--seeds={text} must be different whole numbers, as in 0,1,2.")
    return [int(name) for name in names]


def epochs(text: str) -> dict[str, int]:
    """Reads --epochs: numbers by category, "" for all others."""
    found = {}
    for part in split(text):
        name, equals, number = part.rpartition("=")
        if not number.isdigit() or int(number) < 1 or name in found or bool(name) != bool(equals):
            raise ConfigError(
                f"--epochs={text} must be a whole number of at least 1, or one for each category, "
                "as in 40,leather=200."
            )
        found[name] = int(number)
    return found


def lambdas(text: str) -> list[float]:
    """Reads the values of --lambdas."""
    try:
        values = [float(name) for name in split(text)]
    except ValueError:
        values = []
    if not values or not all(0 <= value < math.inf for value in values):
        raise ConfigError(f"--lambdas={text} must be numbers of at least 0, as in 0.1,0.3,1.")
    return values


def split(text: str) -> list[str]:
    """Reads a comma-separated list of names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def make_folder(folder: Path) -> None:
    """Creates the output folder.

    Raises:
        ConfigError: it cannot be created or written.
    """
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"--output={folder} cannot be created ({error.strerror}); give another folder."
        ) from error
    if not os.access(folder / "runs", os.W_OK):
        raise ConfigError(f"--output={folder} cannot be written; give another folder.")


def tell_plan(plan: Plan, experiments: Sequence[Experiment], categories: Sequence[str]) -> None:
    """Prints the number of runs, and how many are still to do."""
    for experiment in experiments:
        name, asked = experiment.name, plan.asked[experiment.name]
        variants = len(experiment.variants)
        num_seeds = len({cell.seed for cell, _ in asked})
        print(
            f"{name}: {len(asked)} runs ({variants} variants x {len(categories)} categories x "
            f"{num_seeds} seeds)"
        )
    number, waiting = len(plan.requests), len(plan.unfinished)
    print(f"{number} different runs, {number - waiting} finished, {waiting} to do", flush=True)


def write_one(written: WrittenPlan, output: Path) -> None:
    """Writes one experiment's folder and prints what was found."""
    experiment, plan = written.experiment, written.plan
    report = write_experiment(
        experiment,
        outcomes(plan, experiment.name),
        failures(plan, experiment.name),
        written.base,
        written.commit,
        output / experiment.name,
        written.epochs,
    )
    print(f"\n{report.title}")
    for text in (*report.warnings, *report.findings):
        print(f"- {text}")


def finish(plan: Plan, names: Sequence[str], output: Path) -> int:
    """Writes the page, says what is missing, and returns the exit code."""
    print(f"\nresults: {write_page(output)}", flush=True)
    missing = {sentence for name in names for sentence in failures(plan, name)}
    for sentence in sorted(missing):
        print(f"reproduce: no result of {sentence}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    try:
        sys.exit(exit_code("reproduce", reproduce, sys.argv[1:]))
    except KeyboardInterrupt:
        print("reproduce: stopped; the same command resumes", file=sys.stderr)
        sys.exit(130)
