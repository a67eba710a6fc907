"""Whole runs: one category end to end, and the evidence sets."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu.outcome import LeftOut, Row, attempt, left_out
from gpu.plan import Plan
from gpu.timed import FAST

METRICS = ("image_auroc", "pixel_auroc", "aupro", "image_ap")
SECONDS_TO_STOP = 60
"""Left to a training that is stopped for lack of time, to save its state."""


def end_to_end(plan: Plan) -> Iterator[Row]:
    """One category: training, then evaluation with all figures."""
    name = f"{plan.category}, {plan.epochs} epochs"
    data = drawn_data(plan) if plan.rehearse and plan.data is None else plan.data
    if data is None:
        yield from left_out([name], "no data: set DATA to a folder with the category")
    elif not (data / plan.category).is_dir():
        yield from left_out([name], f"{data} has no folder {plan.category}")
    else:
        workdir = plan.scratch / "end_to_end"
        yield attempt(
            name, lambda: train_and_evaluate(plan, data, plan.category, workdir, plan.epochs)
        )


def evidence(plan: Plan) -> Iterator[Row]:
    """Every category of the sets given, with and without the variance loss, by seed."""
    sets = plan.sets
    if plan.rehearse and not sets:
        sets = (drawn_data(plan),)
    if not sets:
        yield from left_out(["all sets"], "no sets: set SETS to their folders")
    for seed in plan.seeds:  # every set once before any is repeated
        for folder in sets:
            categories = sorted(path.name for path in folder.iterdir() if path.is_dir())
            for category in categories:
                for lambda_var in (0.0, 0.1):
                    yield attempt(
                        f"{folder.name}/{category}, lambda {lambda_var:g}, seed {seed}",
                        lambda where=(folder, category), value=lambda_var, number=seed: (
                            _evidence_run(plan, *where, value, number)
                        ),
                    )


def _evidence_run(plan: Plan, folder: Path, category: str, lambda_var: float, seed: int) -> Row:
    workdir = plan.scratch / f"{folder.name}-{category}-{lambda_var:g}-{seed}"
    settings = (f"--config.loss.lambda_var={lambda_var}", f"--config.train.seed={seed}")
    return train_and_evaluate(plan, folder, category, workdir, plan.evidence_epochs, settings)


def train_and_evaluate(
    plan: Plan,
    data: Path,
    category: str,
    workdir: Path,
    epochs: int,
    settings: Sequence[str] = (),
) -> Row:
    """`rdvar train` and `rdvar evaluate`; a training that would outlast the deadline is stopped.

    Raises:
        LeftOut: there is no time left to begin.
        SystemExit: a command failed; what it said.
    """
    if plan.seconds_left < SECONDS_TO_STOP and not plan.rehearse:
        raise LeftOut("no time")
    values = {
        "data.root": data,
        "data.image_size": plan.image_size,
        "teacher.arch": plan.arch,
        "teacher.stem_width": plan.stem_width,
        "teacher.weights": plan.weights,
        "compute.precision": FAST,
        "train.batch_size": plan.batch,
        "train.epochs": epochs,
        # A state that is written now and then costs little, and a killed run keeps its epochs.
        "train.checkpoint_every_epochs": max(1, epochs // 4),
    }
    words = [f"--config.{name}={value}" for name, value in values.items()]
    run = ("--workdir", str(workdir))
    train = ("train", "--config", f"wrn50:{category}", *run, *words, *settings)
    seconds = {"train": rdvar(plan, *train, seconds=plan.seconds_left - SECONDS_TO_STOP)}
    done = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    trained = max((line["epoch"] for line in done if line["kind"] == "epoch"), default=0)
    row: dict[str, Any] = {"category": category, "epochs": trained, "of_epochs": epochs}
    row["teacher"] = Path(plan.weights).name
    if trained < epochs:
        row["stopped"] = "training was stopped for lack of time; the metrics are of its state"
    seconds["evaluate"] = rdvar(plan, "evaluate", *run)
    results = json.loads((workdir / "results.json").read_text())
    row["metrics"] = {name: results["metrics"][name] for name in METRICS}
    return {**row, "seconds": seconds, "device_of_run": results["device"]}


def rdvar(plan: Plan, *words: str, seconds: float | None = None) -> float:
    """Runs a command and returns its seconds; after `seconds` it is asked to stop.

    Raises:
        SystemExit: it failed, other than by that request; what it said.
    """
    start = time.perf_counter()
    log = plan.scratch / f"{words[0]}.log"
    with (
        log.open("w") as said,
        subprocess.Popen(
            [sys.executable, "-m", "rdvar_jax", *words],
            env=plan.environment,
            stdout=said,
            stderr=said,
        ) as process,
    ):
        stopped = False
        try:
            process.wait(None if seconds is None or plan.rehearse else max(seconds, 1))
        except subprocess.TimeoutExpired:
            stopped = True
            process.send_signal(signal.SIGTERM)  # it saves its state
            process.wait()
    if process.returncode and not (stopped and process.returncode == 128 + signal.SIGTERM):
        raise SystemExit(f"rdvar {words[0]}: {log.read_text()[-1000:]}")
    return time.perf_counter() - start


def drawn_data(plan: Plan) -> Path:
    """A drawn category, for a rehearsal."""
    from rdvar_jax.synthetic.write import generate

    folder = plan.scratch / "drawn"
    few = {"num_train": 4, "num_test_good": 2, "num_per_defect": 1}
    generate(folder, [plan.category], size=plan.image_size, progress=False, **few)
    return folder
