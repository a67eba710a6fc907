"""Two processes of two devices each, through the real command line, against one of four devices."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rdvar_process import Rdvar, assert_one_sentence
from run_files import metrics_lines
from saved_state import newest_step, read_state

LEARNING_RATE = 1e-4
# Five steps of eight images. A small rate keeps rounding small: at the default one Adam makes whole
# steps of it, in one process with another number of devices as well.
SETTINGS = (
    "--config.train.batch_size=8",
    "--config.score.batch_size=8",
    "--config.train.epochs=4",
    "--config.parallel.num_devices=0",
    f"--config.train.learning_rate={LEARNING_RATE}",
    "--config.train.evaluate_every_epochs=4",
)
# Without an end that a test would wait for.
LONG = ("--config.train.epochs=4000", "--config.train.checkpoint_every_epochs=5")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


class Job:
    """Processes that train together, each with two virtual devices."""

    def __init__(self, rdvar: Rdvar, workdir: Path, *settings, per_process=((), ())):
        port = free_port()
        self.workdir = workdir
        self.processes = [
            rdvar.start(
                *rdvar.train_args(workdir, *SETTINGS),
                f"--config.distributed.coordinator=localhost:{port}",
                f"--config.distributed.num_processes={len(per_process)}",
                f"--config.distributed.process_id={index}",
                "--config.distributed.lost_after_seconds=6",
                *settings,
                *own,
                env=environment(rdvar),
            )
            for index, own in enumerate(per_process)
        ]

    def wait(self, timeout: float = 200) -> list[subprocess.CompletedProcess]:
        """All processes' ends."""
        done = []
        for process in self.processes:
            out, err = process.communicate(timeout=timeout)
            done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
        return done

    def wait_for_checkpoint(self) -> None:
        while not list(self.workdir.glob("checkpoints/*/manifest.json")):
            assert all(process.poll() is None for process in self.processes), self.wait()
            time.sleep(0.02)

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def environment(rdvar: Rdvar) -> dict[str, str]:
    """Two devices, no cluster that the tests may run in, and no proxy between the processes."""
    kept = {
        name: value
        for name, value in rdvar.environment.items()
        if not name.startswith(("SLURM_", "OMPI_", "KUBERNETES_")) and "_proxy" not in name.lower()
    }
    return {**kept, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}


@pytest.fixture(scope="module")
def alone(rdvar, tmp_path_factory) -> Path:
    """A run of this process, which has four devices."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    done = rdvar.train(workdir, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return workdir


def assert_same_run(workdir: Path, expected: Path) -> None:
    """The same metrics and checkpoints, the last one of the same state.

    Bounds: gradients, which make Adam's moments, 1e-3 of a leaf's largest, and statistics 5e-5.
    That is more than after the one step of tests/training/test_step.py, since parameters moved.
    """
    kept = [folder / "trained_images.json" for folder in (workdir, expected)]
    assert kept[0].read_text() == kept[1].read_text()
    lines, expected_lines = metrics_lines(workdir), metrics_lines(expected)
    assert [(x["kind"], x["step"]) for x in lines] == [
        (x["kind"], x["step"]) for x in expected_lines
    ]
    assert lines[-1]["kind"] == "evaluation"
    for line, expected_line in zip(lines, expected_lines, strict=True):
        del line["kind"], expected_line["kind"]
        assert line == pytest.approx(
            {name: expected_line[name] for name in line}, rel=1e-4, abs=1e-6
        )
    saved, expected_saved = (
        {path.name for path in (folder / "checkpoints").iterdir()} for folder in (workdir, expected)
    )
    assert saved == expected_saved
    state, expected_state = read_state(workdir, 5), read_state(expected, 5)
    assert state.keys() == expected_state.keys()
    for name, value in state.items():
        difference, scale = np.abs(value - expected_state[name]), np.abs(expected_state[name]).max()
        if name.startswith("['params']"):
            # Where a gradient is rounding noise Adam may step anywhere; these are few.
            assert np.quantile(difference, 0.99) < 1e-2 * LEARNING_RATE, name
            assert difference.max() <= 2.001 * LEARNING_RATE, name
        else:
            bound = 5e-5 if name.startswith("['batch_stats']") else 1e-3
            assert difference.max() <= bound * max(scale, 1e-12), name


@pytest.mark.parametrize("mode", ["pmap", pytest.param("shard_map", marks=pytest.mark.slow)])
def test_two_processes_train_as_one_does(rdvar, alone, tmp_path, mode):
    with Job(rdvar, tmp_path / "run", f"--config.parallel.mode={mode}") as job:
        first, second = job.wait()
    assert first.returncode == second.returncode == 0, (first.stderr, second.stderr)
    assert f"{mode} on 4 device(s)" in first.stderr
    assert "trained; next" in first.stdout
    assert "trained" not in second.stdout  # where gloo says something
    assert second.stderr == ""  # nothing to warn of
    assert_same_run(job.workdir, alone)
    config = json.loads((job.workdir / "config.json").read_text())
    assert "distributed" not in config  # evaluation is one process


# Sums of three, of which XLA's own options get each device's last one wrong (jax-ml/jax#39103).
SUMS = """
import sys, jax, numpy as np
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.devices.processes import all_devices
address, process, mode = sys.argv[1:]
jax.distributed.initialize(address, 2, int(process))
parallel, rows = Parallel(mode, tuple(all_devices())), 4 * 32769
def sums(x):
    return jax.vmap(lambda row: ((jax.numpy.eye(3, dtype=x.dtype) @ row) ** 2).sum())(x)
values = np.arange(3.0 * rows, dtype=np.float32).reshape(rows, 3)
found = parallel.wrap(sums, split=[True], split_output=True)(parallel.shard_batch(values))
right = (values.astype(np.float64) ** 2).sum(1)
assert len(found.addressable_shards) == 2 and parallel.spans_processes
for shard in found.addressable_shards:
    np.testing.assert_allclose(shard.data, right[shard.index], rtol=1e-6)
"""


@pytest.mark.slow  # two processes, since one cannot have the devices of two
@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_both_modes_have_the_compilers_options(rdvar, mode):
    address = f"localhost:{free_port()}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUMS, address, str(index), mode],
            env=environment(rdvar),
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    for process in processes:
        _, error = process.communicate(timeout=100)
        assert process.returncode == 0, error


@pytest.mark.slow
def test_slurms_environment_is_enough(rdvar, tmp_path):
    port = str(free_port())
    processes = []
    for index in "01":
        slurm = {
            "SLURM_JOB_ID": "1",
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "SLURM_PROCID": index,
            "SLURM_LOCALID": index,
            "JAX_COORDINATOR_PORT": port,
        }
        args = rdvar.train_args(tmp_path / "run", *SETTINGS, "--config.distributed.auto=True")
        processes.append(rdvar.start(*args, env={**environment(rdvar), **slurm}))
    for process in processes:
        assert process.communicate(timeout=200)[1] is not None
        assert process.returncode == 0
    assert metrics_lines(tmp_path / "run")[-1]["step"] == 5


def assert_goes_on(rdvar, workdir: Path, step: int) -> None:
    """One process goes on where several were: the number of processes is no part of a run."""
    done = rdvar.train(workdir, *SETTINGS, f"--config.train.epochs={step * 8 // 10 + 2}")
    assert done.returncode == 0, done.stderr
    assert f"resuming from step {step} " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_process_ends_the_others(rdvar, tmp_path, victim):
    with Job(rdvar, tmp_path / "run", *LONG) as job:
        job.wait_for_checkpoint()
        job.processes[victim].kill()
        start = time.monotonic()
        done = job.wait(timeout=60)[1 - victim]
    assert time.monotonic() - start < 45  # lost_after_seconds is 6
    assert done.returncode == 3, done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith(f"rdvar: JAX has ended process {1 - victim} of 2, because it lost")
    assert "the same command" in sentence
    manifests = job.workdir.glob("checkpoints/*/manifest.json")  # of those that are whole
    assert_goes_on(rdvar, job.workdir, max(int(path.parent.name) for path in manifests))


@pytest.mark.slow
@pytest.mark.parametrize(("target", "number"), [(1, signal.SIGTERM), (0, signal.SIGINT)])
def test_a_signal_to_one_stops_all_after_the_same_step(rdvar, tmp_path, target, number):
    settings = (*LONG, "--config.train.checkpoint_every_epochs=4000")
    with Job(rdvar, tmp_path / "run", *settings) as job:
        metrics = job.workdir / "metrics.jsonl"
        while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
            assert all(process.poll() is None for process in job.processes), job.wait()
            time.sleep(0.02)
        job.processes[target].send_signal(number)
        done = job.wait()
    assert [process.returncode for process in done] == [128 + number] * 2, done
    step = newest_step(job.workdir)
    for process in done:
        assert f"rdvar: stopped by {number.name} after step {step};" in process.stderr
        assert "Traceback" not in process.stderr
    assert len(list((job.workdir / "checkpoints").iterdir())) == 1
    assert_goes_on(rdvar, job.workdir, step)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "per_process", "parts"),
    [
        (("--config.train.batch_size=6",), ((), ()), ["train.batch_size=6", "4 devices of 2 pro"]),
        (("--config.parallel.num_devices=1",), ((), ()), ["parallel.num_devices=1", "one process"]),
        ((), ((), ("--config.loss.lambda_var=0.2",)), ["process 1 has other settings"]),
    ],
    ids=["batch", "num_devices", "other settings"],
)
def test_what_cannot_be_trained_together(rdvar, tmp_path, settings, per_process, parts):
    with Job(rdvar, tmp_path / "run", *settings, per_process=per_process) as job:
        for done in job.wait():
            assert_one_sentence(done, *parts)
    assert not job.workdir.exists()


@pytest.mark.slow
def test_a_process_that_does_not_come(rdvar, tmp_path):
    settings = ("--config.distributed.num_processes=3", "--config.distributed.connect_seconds=3")
    with Job(rdvar, tmp_path / "run", *settings) as job:
        for done in job.wait(timeout=60):
            assert done.returncode == 3, done.stderr
            assert "rdvar: not all processes joined at localhost" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_no_cluster_to_be_found(rdvar, tmp_path):
    args = rdvar.train_args(tmp_path / "run", "--config.distributed.auto=True")
    # A process, because it would join others.
    process = rdvar.start(*args, env=environment(rdvar))
    out, err = process.communicate(timeout=200)
    done = subprocess.CompletedProcess(args, process.returncode, out, err)
    assert_one_sentence(done, "distributed.auto=True", "distributed.coordinator")
