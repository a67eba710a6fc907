"""Two commands in one folder: one sentence at once for the second, unless it only reads.

The first is played by its lock, in this process; test_unfinished.py has two whole predictions, and
one test here two processes.
"""

import json
import signal
import time
from pathlib import Path

import pytest
from rdvar_process import assert_one_sentence

from rdvar_jax.errors import InUseError
from rdvar_jax.files.locks import OUTPUT, RESULTS, TRAINING, locked_file, locked_folder
from rdvar_jax.runs.run import Run
from rdvar_jax.synthetic import generate

FIRST = "is in use by another process (pid "
SCALE = ("--color_scale", "0.1,1")


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if not path.name.endswith(".lock")
    }


def test_two_trainings(rdvar, trained, copy_of):
    workdir = copy_of(trained)
    before = contents(workdir)
    with locked_folder(workdir, TRAINING, "-"):
        done = rdvar.train(workdir, "--config.train.epochs=99")
        assert_one_sentence(done, str(workdir), FIRST, "wait until it ends, or give another --wor")
    assert contents(workdir) == before
    assert not list(workdir.glob(".*"))


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate",),
        ("threshold", "--method", "quantile"),
        ("report",),
        ("report", "--output", "x"),
    ],
)
def test_two_that_write_results(rdvar, finished, copy_of, monkeypatch, command):
    workdir = copy_of(finished.workdir)
    monkeypatch.chdir(workdir.parent)
    before = contents(workdir)
    with locked_folder(workdir, RESULTS, "-"):
        done = rdvar.run(command[0], "--workdir", workdir, *command[1:])
        assert_one_sentence(done, str(workdir), FIRST, "run this command again when it has ended")
    assert contents(workdir) == before


def test_results_need_a_folder_that_can_be_written_and_a_report_elsewhere_none(
    rdvar, finished, copy_of, tmp_path
):
    workdir = copy_of(finished.workdir)
    # As in a read-only folder, which would not stop root, no lock can be made.
    (workdir / RESULTS).mkdir()
    for command in ("evaluate", "threshold", "report"):
        done = rdvar.run(command, "--workdir", workdir)
        said = "and the results belong there; make the folder writable."
        assert_one_sentence(done, f"{workdir} cannot be written (Is a directory)", said)
    done = rdvar.run("report", "--workdir", workdir, "--output", tmp_path / "x.html")
    assert done.returncode == 0, done.stderr
    assert contents(workdir) == contents(finished.workdir)


def test_what_reads_a_run_goes_on_while_it_is_trained_and_evaluated(
    rdvar, finished, copy_of, toy_root, tmp_path
):
    workdir = copy_of(finished.workdir)
    with locked_folder(workdir, TRAINING, "-"):
        done = rdvar.evaluate(workdir, "--config.report.max_figures=0")
        assert done.returncode == 0, done.stderr
        with locked_folder(workdir, RESULTS, "-"):
            args = ("--input", toy_root / "tile" / "test" / "good", "--output", tmp_path / "out")
            done = rdvar.run("predict", "--workdir", workdir, *args)
            assert done.returncode == 0, done.stderr
            assert len(Run.open(workdir).checkpoints._ranked("latest")) == 2


@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_two_that_write_one_output(rdvar, trained, toy_root, tmp_path, watch):
    output = tmp_path / "out"
    output.mkdir()
    (output / "watch.json").write_text("{}")  # of a watch: the folder is not empty
    args = ("--workdir", trained, "--input", toy_root / "tile" / "test", "--output", output)
    with locked_folder(output, OUTPUT, "-"):
        done = rdvar.run("predict", *watch, *args, *SCALE)
        assert_one_sentence(done, str(output), FIRST, "wait until it ends, or give another --out")
    assert contents(output) == {"watch.json": b"{}"}


def test_two_exports_to_one_file(rdvar, finished, tmp_path):
    output = tmp_path / "part.rdvar"
    args = ("export", "--workdir", finished.workdir, "--output", output)
    with locked_file(output, "-"):
        assert_one_sentence(rdvar.run(*args), str(output), FIRST, "or give another --output")
    assert contents(tmp_path) == {}


def test_two_drawn_sets_in_one_folder(rdvar, tmp_path):
    parts = tmp_path / "parts"
    with locked_file(parts, "-"):
        done = rdvar.run("prepare", "--source", "synthetic", "--output", parts, "--size", 32)
        assert_one_sentence(done, str(parts), FIRST, "or choose another folder")
    assert contents(tmp_path) == {}


def test_drawing_removes_what_a_kill_has_left(tmp_path):
    left, others = tmp_path / ".parts.abcd_123.partial", tmp_path / ".parts.x.abcd_123.partial"
    for folder in (left, others):
        (folder / "parts").mkdir(parents=True)
    generate(tmp_path / "parts", ["cloth"], size=32, num_train=1, num_test_good=1, num_per_defect=0)
    assert not left.exists() and others.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [others.name, "parts"]
    with locked_file(tmp_path / "new", "-"), pytest.raises(InUseError, match="new is in use"):
        generate(tmp_path / "new", ["cloth"], size=32)


@pytest.mark.slow
def test_two_trainings_and_a_kill(rdvar, trained, copy_of):
    """Processes, since a kill releases the lock: the second is refused, the third resumes."""
    workdir = copy_of(trained)
    args = rdvar.train_args(workdir, "--config.train.epochs=5000")
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    first = rdvar.start(*args)
    try:
        end = time.monotonic() + 120
        while len((workdir / "metrics.jsonl").read_text().splitlines()) <= len(lines) + 5:
            assert first.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        start = time.monotonic()
        second = rdvar.process(*args)
        assert_one_sentence(second, FIRST + str(first.pid), "train --config", "another --workdir")
        assert time.monotonic() - start < 60
        first.send_signal(signal.SIGKILL)
    finally:
        first.kill()
        first.communicate()
    text = (workdir / "metrics.jsonl").read_text()
    steps = [json.loads(line)["step"] for line in text.split("\n")[:-1]]
    assert steps == sorted(steps) and len(steps) > len(lines)
    done = rdvar.run(*args[:-1], "--config.train.epochs=9")
    assert done.returncode == 0, done.stderr
