"""A run that is killed at any moment ends with the same parameters, bit for bit."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from rdvar_jax.weights.safetensors_file import read_safetensors

KILLS = 3
# Saves are frequent, so that kills fall into them as well.
SETTINGS = ("--config.train.epochs=12",)


def final_state(workdir: Path) -> dict[str, np.ndarray]:
    """Every array of the newest checkpoint, read without this project's code."""
    import jax
    import orbax.checkpoint as ocp

    step = max(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())
    assert step == 30
    tree = ocp.StandardCheckpointer().restore(workdir / "checkpoints" / str(step) / "default")
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def lines_without_rates(workdir: Path) -> list[dict]:
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(rdvar, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole") / "run"
    start = time.monotonic()
    done = rdvar.train(workdir, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return workdir, time.monotonic() - start


def test_killed_again_and_again(rdvar, uninterrupted, tmp_path):
    expected, duration = uninterrupted
    workdir = tmp_path / "run"
    command = rdvar.command(*rdvar.train_args(workdir, *SETTINGS))
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    kills, progress = 0, []
    while kills < KILLS:
        process = subprocess.Popen(command, env=rdvar.environment, stderr=subprocess.PIPE)
        # Somewhere in the run's second half, where the steps and the saves are.
        time.sleep(rng.uniform(0.4, 1.0) * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        progress.append(process.returncode)
    done = rdvar.train(workdir, *SETTINGS)
    assert done.returncode == 0, done.stderr

    state, expected_state = final_state(workdir), final_state(expected)
    assert state.keys() == expected_state.keys()
    different = [k for k in state if not np.array_equal(state[k], expected_state[k])]
    assert not different, f"seed {seed}, exits {progress}: {different}"
    assert lines_without_rates(workdir) == lines_without_rates(expected)
    teacher, _ = read_safetensors(workdir / "teacher.safetensors")
    expected_teacher, _ = read_safetensors(expected / "teacher.safetensors")
    assert all(np.array_equal(teacher[k], expected_teacher[k]) for k in expected_teacher)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_stop_saves_and_leaves(rdvar, uninterrupted, tmp_path, number):
    expected, _ = uninterrupted
    workdir = tmp_path / "run"
    # Without checkpoints on the way, so that what is there was saved by the stop.
    settings = (*SETTINGS, "--config.train.checkpoint_every_epochs=1000")
    process = subprocess.Popen(
        rdvar.command(*rdvar.train_args(workdir, *settings)),
        env=rdvar.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = workdir / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + number, stderr
    assert f"stopped by {number.name} after step" in stderr
    assert "Traceback" not in stderr
    assert list((workdir / "checkpoints").iterdir())

    done = rdvar.train(workdir, *settings)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stderr
    state, expected_state = final_state(workdir), final_state(expected)
    assert all(np.array_equal(state[k], expected_state[k]) for k in expected_state)
