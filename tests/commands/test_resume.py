"""A run that is stopped or killed ends with the same parameters, bit for bit."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from run_files import metrics_lines
from saved_state import assert_same_state

from rdvar_jax.training.writer import MetricsWriter
from rdvar_jax.weights.safetensors_file import read_safetensors

# Sends the signal to the process itself once step 3 is logged.
AFTER_STEP_3 = """
import os, signal
from rdvar_jax.training.writer import MetricsWriter
write = MetricsWriter.write
def write_and_signal(self, kind, step, values):
    write(self, kind, step, values)
    if (kind, step) == ("train", 3):
        os.kill(os.getpid(), signal.SIGTERM)
MetricsWriter.write = write_and_signal
"""

# Kills the process when step 10's checkpoint is written and has not got its name.
IN_A_SAVE = """
import os, signal
replace = os.replace
def replace_or_die(source, destination, **options):
    if str(destination).endswith("checkpoints/10"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, destination, **options)
os.replace = replace_or_die
"""


def assert_same_run(workdir: Path, expected: Path) -> None:
    assert_same_state(workdir, expected)
    assert metrics_lines(workdir) == metrics_lines(expected)
    teacher, _ = read_safetensors(workdir / "teacher.safetensors")
    expected_teacher, _ = read_safetensors(expected / "teacher.safetensors")
    assert all(np.array_equal(teacher[k], expected_teacher[k]) for k in expected_teacher)


def assert_stopped_politely(stopped: subprocess.CompletedProcess, name: str) -> None:
    assert stopped.returncode == 128 + signal.Signals[name], stopped.stderr
    assert f"stopped by {name} after step" in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_stopped_and_killed_and_started_again(rdvar, trained, tmp_path, monkeypatch):
    """The run is the one that nobody disturbed."""
    workdir = tmp_path / "run"
    # Without checkpoints on the way, so that what is there was saved by the stop.
    seldom = rdvar.train_args(workdir, "--config.train.checkpoint_every_epochs=1000")
    stopped = rdvar.process(*seldom, before=AFTER_STEP_3)  # a process, to be signalled
    assert_stopped_politely(stopped, "SIGTERM")
    (saved,) = (int(path.name) for path in (workdir / "checkpoints").iterdir())
    assert 3 <= saved < 10

    args = rdvar.train_args(workdir)
    killed = rdvar.process(*args, before=IN_A_SAVE)  # a process, to be killed
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert f"resuming from step {saved} " in killed.stderr
    assert (workdir / "checkpoints" / ".unfinished" / "10" / "manifest.json").is_file()
    assert metrics_lines(workdir)[-1]["step"] == 10  # to be dropped and written again

    # Ctrl-C can come to the tests' own process: if it is not caught, it is an exit code too.
    write = MetricsWriter.write

    def write_and_interrupt(self, kind, step, values):
        write(self, kind, step, values)
        if (kind, step) == ("train", 12):
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsWriter, "write", write_and_interrupt)
        stopped = rdvar.run(*seldom)
    assert_stopped_politely(stopped, "SIGINT")
    assert "resuming from step 5 " in stopped.stderr
    last = metrics_lines(workdir)[-1]["step"]
    assert 12 <= last < 20 and (workdir / "checkpoints" / str(last)).is_dir()

    done = rdvar.run(*args)
    assert done.returncode == 0, done.stderr
    assert f"resuming from step {last} " in done.stderr
    assert_same_run(workdir, trained)


@pytest.mark.nightly
def test_killed_again_and_again_at_any_moment(rdvar, tmp_path):
    settings = ("--config.train.epochs=12", "--config.train.checkpoint_every_epochs=1")
    expected, workdir = tmp_path / "whole", tmp_path / "run"
    start = time.monotonic()
    done = rdvar.process(*rdvar.train_args(expected, *settings))
    duration = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(3):
        process = rdvar.start(*rdvar.train_args(workdir, *settings))  # to be killed
        # Somewhere in the run's second half, where the steps and the saves are.
        time.sleep(rng.uniform(0.4, 1.0) * duration)
        process.kill()
        process.communicate()
    done = rdvar.process(*rdvar.train_args(workdir, *settings))
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    assert_same_run(workdir, expected)
