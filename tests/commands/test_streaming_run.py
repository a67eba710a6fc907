"""A run whose images stay on disk is the run that has them in memory, killed or not."""

import json
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from run_files import metrics_lines, read_lines
from saved_state import assert_same_state

ON_DISK = "--config.data.memory_budget_gb=0"
IN_MEMORY = "--config.train.cache_features=off"


@pytest.fixture(scope="module")
def in_memory(rdvar, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("memory") / "run"
    done = rdvar.train(workdir, IN_MEMORY)
    assert done.returncode == 0, done.stderr
    assert "training images held in memory" in done.stderr
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 2])
def test_weights_and_lines_are_those_of_a_run_in_memory(rdvar, in_memory, tmp_path, num_workers):
    workers = f"--config.data.num_workers={num_workers}"
    done = rdvar.train(tmp_path / "run", ON_DISK, workers)
    assert done.returncode == 0, done.stderr
    assert "training images stay on disk" in done.stderr
    assert_same_state(tmp_path / "run", in_memory)
    assert metrics_lines(tmp_path / "run") == metrics_lines(in_memory)
    lines = read_lines(tmp_path / "run" / "metrics.jsonl")
    waits = [line["data_wait"] for line in lines if line["kind"] == "epoch"]
    assert len(waits) == 8 and all(0 <= wait <= 1 for wait in waits)


@pytest.mark.slow
def test_a_run_goes_on_with_another_budget(rdvar, in_memory, tmp_path):
    assert rdvar.train(tmp_path / "run", IN_MEMORY, "--config.train.epochs=2").returncode == 0
    done = rdvar.train(tmp_path / "run", ON_DISK)
    assert done.returncode == 0, done.stderr
    assert "resuming from step 5" in done.stderr
    assert_same_state(tmp_path / "run", in_memory)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 2])
def test_killed_and_resumed(rdvar, in_memory, tmp_path, num_workers):
    workdir = tmp_path / "run"
    settings = (ON_DISK, f"--config.data.num_workers={num_workers}")
    process = rdvar.start(*rdvar.train_args(workdir, *settings))  # to be killed
    while not list(workdir.glob("checkpoints/*/manifest.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(workers) >= num_workers
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive  # nobody goes on decoding for a run that is gone
    done = rdvar.train(workdir, *settings)
    assert done.returncode == 0, done.stderr
    assert "resuming from step" in done.stderr
    assert_same_state(workdir, in_memory)
    assert metrics_lines(workdir) == metrics_lines(in_memory)


@pytest.mark.slow
def test_ctrl_c_ends_a_run_with_workers_politely(rdvar, tmp_path):
    workdir = tmp_path / "run"
    settings = (ON_DISK, "--config.data.num_workers=2", "--config.train.epochs=4000")
    # To be signalled.
    process = rdvar.start(*rdvar.train_args(workdir, *settings), start_new_session=True)
    while not list(workdir.glob("checkpoints/*/manifest.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        one.send_signal(signal.SIGINT)  # as a terminal does
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, stderr
    assert "stopped by SIGINT after step" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_scores_and_figures_are_the_same(rdvar, trained, tmp_path):
    copies = [Path(shutil.copytree(trained, tmp_path / name)) for name in ("memory", "disk")]
    for workdir, settings in zip(copies, ((), (ON_DISK,)), strict=True):
        done = rdvar.evaluate(workdir, *settings)
        assert done.returncode == 0, done.stderr
    memory, disk = (
        {
            str(path.relative_to(workdir)): path.read_bytes()
            for path in (*workdir.rglob("*.csv"), *workdir.rglob("*.png"))
        }
        for workdir in copies
    )
    assert len(memory) > 5
    assert memory == disk
    memory, disk = (json.loads((workdir / "results.json").read_text()) for workdir in copies)
    for results in (memory, disk):  # of evaluation.json, which holds the settings
        del results["files"]["evaluation.json"], results["sha256"]
    assert memory == disk
