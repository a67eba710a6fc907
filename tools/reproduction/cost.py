"""Cost of a sweep, estimated from a run of a few steps."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from rdvar_jax.errors import UserError
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.data_checks import find_data
from reproduction.process import run_process
from reproduction.run_folder import RunFolder
from reproduction.sweep import Request

STATES_KEPT = 3  # by training: the two latest, and the best


@dataclass(frozen=True)
class Probe:
    """Measurements of a probe.

    Attributes:
        steps: how many were timed.
        seconds_per_image: of a train step.
        seconds_per_run: beside the steps: start, compilation, reading, features, evaluation.
        seconds_per_evaluation: of the test set.
        bytes_kept: by a finished run.
        bytes_working: by a run in progress.
    """

    steps: int
    seconds_per_image: float
    seconds_per_run: float
    seconds_per_evaluation: float
    bytes_kept: int
    bytes_working: int


def probe(request: Request, steps: int, environment: dict[str, str]) -> Probe:
    """Trains a few steps of a run in a folder beside its own, and removes them again.

    Args:
        request: the run.
        steps: to time, at least.
        environment: of the process, as a slot of `local.py`.

    Raises:
        UserError: the run failed.
    """
    run, config = request.run, request.config.copy_and_resolve_references()
    number = len(find_data(config).train)
    # One more: the first step is not timed, since it compiles.
    config.train.epochs = math.ceil((steps + 1) * config.train.batch_size / number)
    config.train.log_every_steps = 1
    config.train.checkpoint_every_epochs = config.train.epochs
    config.train.evaluate_every_epochs = 0
    trial = RunFolder(run.folder.with_name(f".probe_{run.folder.name}"))
    shutil.rmtree(trial.folder, ignore_errors=True)
    try:
        trial.ask(request.identity, config)
        run_process(trial.folder, True, environment, Event())
        reason = trial.read_failure()
        if reason is not None:
            raise UserError(f"the probe of {config.data.category} failed: {reason}")
        timing = json.loads(trial.timing.read_text())
        all_bytes = size_of(trial.folder)
        state = size_of(trial.workdir / "checkpoints")
        teacher = size_of(trial.workdir / "teacher.safetensors")
    finally:
        shutil.rmtree(trial.folder, ignore_errors=True)
    seconds = timing["train_seconds"] + timing["evaluate_seconds"]
    return Probe(
        steps=timing["steps"] - 1,
        seconds_per_image=timing["seconds_per_step"] / config.train.batch_size,
        seconds_per_run=seconds - timing["steps"] * timing["seconds_per_step"],
        seconds_per_evaluation=timing["evaluate_seconds"],
        bytes_kept=all_bytes - state - teacher,
        bytes_working=STATES_KEPT * state + teacher,
    )


def seconds_of(config: Config, measured: Probe) -> float:
    """Estimates the cost of a whole run."""
    images = config.train.epochs * len(find_data(config).train)
    every = config.train.evaluate_every_epochs
    evaluations = math.ceil(config.train.epochs / every) if every else 0
    return (
        measured.seconds_per_run
        + images * measured.seconds_per_image
        + evaluations * measured.seconds_per_evaluation
    )


def describe(
    requests: Sequence[Request], measured: Probe, num_slots: int, keep_checkpoints: bool
) -> str:
    """Estimated time and disk of runs that are still to be made, in words."""
    seconds = sum(seconds_of(request.config, measured) for request in requests) / num_slots
    working = len(requests) if keep_checkpoints else min(num_slots, len(requests))
    kept = len(requests) * measured.bytes_kept
    return (
        f"A probe of {measured.steps} steps took {1000 * measured.seconds_per_image:.3g} ms an "
        f"image; beside its steps a run takes {measured.seconds_per_run:.0f} s. So "
        f"{len(requests)} runs, {num_slots} at a time, will take about {in_words(seconds)}, and "
        f"{kept / 1e9:.2g} GB of disk, and {working * measured.bytes_working / 1e9:.2g} GB more "
        f"{'for the checkpoints' if keep_checkpoints else 'while they run'}."
    )


def in_words(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())
