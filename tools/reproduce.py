"""The paper's tables and figures, with statistics over seeds, from one command.

    python tools/reproduce.py --experiment table1 --data.root MVTEC_AD --seeds 0,1,2 --dry_run
    python tools/reproduce.py --experiment all --data.root MVTEC_AD --output results

--experiment   table1 | table2 | table3 | table4 | table5 | fig3 | fig4 | all
--data.root    the folder of categories
--categories   some of them, as in screw,leather; all by default
--seeds        0,1,2 by default; each gives a run of every variant and category
--epochs       passes over the training images; those of the config by default
--config       the base config, configs/mvtec_wrn50.py by default; --config.SECTION.NAME=VALUE
               changes a setting of it
--random_weights   an untrained teacher, to see that everything runs
--oracle_every     evaluate every so many epochs, for the column of the best epoch on the test set
--keep_checkpoints leave the states of finished runs, gigabytes each, in their folders
--executor     local (one run after the other, or one a GPU) or ray, with the extra `ray`
--address      of a Ray cluster whose machines see the same folders; this machine by default
--output       results by default: index.html, a folder for each experiment, and runs/
--dry_run      say what it will cost, and stop; --probe_steps=0 says it without measuring

A run is kept under the hash of its settings, images, teacher and code. What is finished is never
run again, and the same command goes on where a stopped or killed one was. A run that fails is
reported and tried again the next time. Exit codes: 0 done, 1 some runs have no result, 2 something
to mend, 130 stopped by Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from collect_results import checkout_commit
from exit_code import exit_code
from reproduction import cost
from reproduction.build import write_experiment
from reproduction.experiments import EXPERIMENTS
from reproduction.local import find_slots, run_local
from reproduction.page import write_page
from reproduction.ray_cluster import connect, num_slots, run_on_ray
from reproduction.sweep import Plan, Progress, failures, make_plan, outcomes

from rdvar_jax.command_line.settings import read_config
from rdvar_jax.data.sets.folder import list_categories
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import RANDOM_WEIGHTS, Config, resolved

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER_CONFIG = REPOSITORY / "configs" / "mvtec_wrn50.py"


def reproduce(argv: list[str]) -> int:
    """The command; `argv` begins after the program's name. Gives the exit code."""
    if not argv or "--help" in argv or "-h" in argv:
        print(__doc__)
        return 0
    values = define_flags()
    base = base_config(values, argv)
    categories = split(values["categories"].value) or list_categories(Path(base.data.root))
    output = Path(values["output"].value or "results").resolve()
    names = chosen_experiments(values["experiment"].value)
    plan = make_plan([EXPERIMENTS[name] for name in names], base, categories, seeds(values), output)
    tell_plan(plan, categories)
    keep = bool(values["keep_checkpoints"].value)
    steps, dry = int(values["probe_steps"].value or 0), bool(values["dry_run"].value)
    waiting = plan.unfinished
    if waiting and not (dry and steps == 0):
        make_folder(output)
        slots = find_slots()
        ray = None
        if values["executor"].value == "ray":
            ray = connect(str(values["address"].value))
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
    return write_results(plan, names, base, output)


def define_flags() -> flags.FlagValues:
    """The flags of the command."""
    values = flags.FlagValues()
    flags.DEFINE_enum(
        "experiment", None, [*EXPERIMENTS, "all"], "table or figure", flag_values=values
    )
    for name, default in {"data.root": "", "categories": "", "seeds": "0,1,2"}.items():
        flags.DEFINE_string(name, default, name, flag_values=values)
    flags.DEFINE_string("output", "results", "folder", flag_values=values)
    flags.DEFINE_enum("executor", "local", ["local", "ray"], "how", flag_values=values)
    flags.DEFINE_string("address", "", "of a Ray cluster", flag_values=values)
    flags.DEFINE_integer("epochs", None, "passes", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("oracle_every", 0, "epochs", lower_bound=0, flag_values=values)
    flags.DEFINE_integer("probe_steps", 20, "steps", lower_bound=0, flag_values=values)
    for name in ("random_weights", "keep_checkpoints", "dry_run"):
        flags.DEFINE_boolean(name, False, name, flag_values=values)
    return values


def base_config(values: flags.FlagValues, argv: list[str]) -> Config:
    """Reads the flags, and gives the config that the experiments' variants are put on.

    Raises:
        ConfigError, flags.Error: a flag or the config cannot be used, or there is no data.
    """
    named = any(word == "--config" or word.startswith("--config=") for word in argv)
    own = [] if named else [f"--config={PAPER_CONFIG}"]
    config: Any = read_config(values, ["reproduce", *own, *argv])
    if values["data.root"].value:
        config.data.root = str(values["data.root"].value)
    if not config.data.root:
        raise ConfigError("--data.root is missing; give the folder that holds the categories.")
    if values["epochs"].value is not None:
        config.train.epochs = int(values["epochs"].value)
    if values["random_weights"].value:
        config.teacher.weights = RANDOM_WEIGHTS
    config.train.evaluate_every_epochs = int(values["oracle_every"].value or 0)
    return resolved(config)


def chosen_experiments(name: Any) -> list[str]:
    """The names of the experiments to do, in order."""
    if name is None:
        raise ConfigError(f"--experiment is missing; give one of {', '.join(EXPERIMENTS)}, all.")
    return list(EXPERIMENTS) if name == "all" else [str(name)]


def seeds(values: flags.FlagValues) -> list[int]:
    """The numbers of --seeds."""
    text = str(values["seeds"].value)
    names = split(text)
    if not names or not all(name.isdigit() for name in names) or len(set(names)) < len(names):
        raise ConfigError(f"--seeds={text} must be different whole numbers, as in 0,1,2.")
    return [int(name) for name in names]


def split(text: Any) -> list[str]:
    """The names of a list with commas."""
    return [name.strip() for name in str(text or "").split(",") if name.strip()]


def make_folder(folder: Path) -> None:
    """Makes the output folder.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"--output={folder} cannot be made ({error.strerror}); give another folder."
        ) from error
    if not os.access(folder / "runs", os.W_OK):
        raise ConfigError(f"--output={folder} cannot be written; give another folder.")


def tell_plan(plan: Plan, categories: Sequence[str]) -> None:
    """Prints how many runs there are, and how many are still to be made."""
    for name, asked in plan.asked.items():
        variants = len(EXPERIMENTS[name].variants)
        num_seeds = len({cell.seed for cell, _ in asked})
        print(
            f"{name}: {len(asked)} runs ({variants} variants x {len(categories)} categories x "
            f"{num_seeds} seeds)"
        )
    number, waiting = len(plan.requests), len(plan.unfinished)
    print(f"{number} different runs, {number - waiting} finished, {waiting} to do", flush=True)


def write_results(plan: Plan, names: Sequence[str], base: Config, output: Path) -> int:
    """Writes reports and page and gives the exit code."""
    commit = checkout_commit()
    missing = set()
    for name in names:
        without = failures(plan, name)
        missing.update(without)
        report = write_experiment(
            EXPERIMENTS[name], outcomes(plan, name), without, base, commit, output / name
        )
        print(f"\n{report.title}")
        for text in (*report.warnings, *report.findings):
            print(f"- {text}")
    print(f"\nresults: {write_page(output)}", flush=True)
    for sentence in sorted(missing):
        print(f"reproduce: no result of {sentence}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    try:
        sys.exit(exit_code("reproduce", reproduce, sys.argv[1:]))
    except KeyboardInterrupt:
        print("reproduce: stopped; the same command goes on from there", file=sys.stderr)
        sys.exit(130)
