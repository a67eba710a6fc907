"""Commands on a disk that is full from the n-th write on: one sentence, and the same call goes on.

`tests/full_disk.py` fails what Python writes. `test_limits.py` has the same with real disks and
limits, in processes.
"""

import math
import random
import shutil
from collections.abc import Callable

import pytest
from full_disk import full_disk
from rdvar_process import assert_one_sentence
from run_files import metrics_lines
from saved_state import assert_same_state

# `silence_threads` ignores it in a process of its own; pytest puts its filters back in each test.
pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine '.*write_fragment.*' was never awaited:RuntimeWarning"
)

FILES = ("results.json", "scores.csv", "evaluation.json", "threshold.json", "report.html")
PHOTOS = ("test", "spot")
PREDICTED = ("scores.csv", "scores.jsonl")


@pytest.fixture
def call(rdvar, finished, tmp_path) -> Callable:
    """Calls one command in a copy of the trained run, or of the finished one."""
    workdir, output = tmp_path / "disk" / "run", tmp_path / "disk" / "out"
    photos = rdvar.root / "tile" / "test" / "spot"
    commands = {
        "train": rdvar.train_args(workdir),
        "evaluate": ("evaluate", "--workdir", workdir),
        "threshold": (
            *("threshold", "--workdir", workdir, "--input", rdvar.root / "tile" / "test" / "good"),
            *("--target=0.4", "--confidence=0.75"),
        ),
        "report": ("report", "--workdir", workdir),
        "predict": (
            *("predict", "--workdir", workdir, "--input", photos, "--output", output),
            *("--save_masks", "--save_maps"),
        ),
        "export": ("export", "--workdir", workdir, "--output", output / "part.rdvar"),
        "onnx": (
            *("export", "--workdir", workdir, "--output", output / "part.onnx"),
            *("--format", "onnx"),
        ),
        "inspect": (
            *("inspect", "--config", rdvar.train_args(workdir)[2]),
            *(f"--config.data.root={rdvar.root}", "--output", output / "sheet.png"),
        ),
        "prepare": ("prepare", "--source", "synthetic", "--size", "32", "--output", output),
    }

    def prepare(name: str) -> None:
        shutil.rmtree(tmp_path / "disk", ignore_errors=True)
        (tmp_path / "disk").mkdir()
        if name in ("export", "onnx", "inspect"):
            output.mkdir()
        if name in ("evaluate", "threshold"):
            shutil.copytree(finished.trained, workdir)
            shutil.copy(finished.workdir / "threshold.json", workdir)
        elif name != "train":
            shutil.copytree(finished.workdir, workdir)
        if name == "report":
            (workdir / "report.html").unlink()

    def run(name: str):
        return rdvar.run(*commands[name])

    run.prepare, run.disk, run.workdir, run.output = prepare, tmp_path / "disk", workdir, output
    return run


def check(call, finished, name: str, fails_from: int) -> bool:
    """Calls the command on the disk that fills up, and again; returns whether it was full."""
    call.prepare(name)
    with full_disk(call.disk, fails_from) as disk:
        done = call(name)
    if disk.was_full:
        assert_one_sentence(done, "No space left" if "No space" in done.stderr else "disk is full")
        assert str(call.disk) in done.stderr
        assert not [path for path in call.disk.rglob("*") if "tmp" in path.name], "half a file"
        if name == "predict":
            assert not call.output.exists()
    else:
        assert done.returncode == 0, done.stderr
        if name == "predict":  # whose output is no longer empty
            return False
    again = call(name)
    assert again.returncode == 0, again.stderr
    if name == "train":
        assert_same_state(call.workdir, finished.trained)
        assert metrics_lines(call.workdir) == metrics_lines(finished.trained)
    elif name in ("evaluate", "threshold", "report"):
        for file in FILES:
            if (call.workdir / file).exists():
                assert (call.workdir / file).read_bytes() == (finished.workdir / file).read_bytes()
    elif name == "export":
        expected = (finished.exports / "part.rdvar").read_bytes()
        assert (call.output / "part.rdvar").read_bytes() == expected
    return disk.was_full


@pytest.mark.parametrize(("name", "fails_from"), [("report", 2), ("threshold", 3), ("predict", 9)])
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(call, finished, name, fails_from):
    assert check(call, finished, name, fails_from)


NAMES = [
    *("train", "evaluate", "threshold", "report", "predict", "export", "onnx", "inspect"),
    "prepare",
]


@pytest.mark.slow  # the commands above at more points, and the others
@pytest.mark.parametrize(
    "name",
    [
        *(name for name in NAMES if name not in ("train", "prepare", "report")),
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("train", "prepare", "report")),
    ],
)
def test_a_disk_that_is_full_at_some_points(call, finished, name):
    call.prepare(name)
    with full_disk(call.disk, math.inf) as disk:
        assert call(name).returncode == 0
    # Threads of orbax write more or fewer times in each training.
    last = disk.count // 2 if name == "train" else disk.count
    points = {1, last, *random.Random(name).sample(range(1, last + 1), 2)}
    for fails_from in sorted(points):
        assert check(call, finished, name, fails_from)


@pytest.mark.nightly  # the same at every point: some hundred calls
@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_disk_that_is_full_at_every_point(call, finished, name):
    fails_from = 1
    while check(call, finished, name, fails_from):
        # Every point of the start, and each seventh of the many writes after it.
        fails_from += 1 if fails_from < 60 else 7
