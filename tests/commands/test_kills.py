"""Kills at random moments: 10 of a prediction, 10 of a watch, 10 of a training.

Processes, as only those can be killed. Before its end each is killed between the moment it has
locked its folder and somewhat after the time that it takes undisturbed.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile_names import HOSTILE
from run_files import metrics_lines, read_lines, read_rows
from saved_state import assert_same_state

KILLS = 10  # of each
NUM_IMAGES = 60
SCALE = ("--color_scale", "0.1,1", "--config.score.batch_size=4", "--save_maps")

pytestmark = pytest.mark.nightly


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def images(toy_root) -> list[tuple[str, Path]]:
    """Names, some of them hostile, and files."""
    files = sorted((toy_root / "tile" / "test").rglob("*.png"))
    plain = [f"line {index % 3}/{index:03}.png" for index in range(NUM_IMAGES)]
    # As in CSV, which read_rows takes for UTF-8.
    hostile = [name.decode() for kind, name in HOSTILE.items() if kind != "not UTF-8"]
    names = [*plain, *hostile]
    return [(name, files[index % len(files)]) for index, name in enumerate(names)]


def put(images: list[tuple[str, Path]], folder: Path) -> None:
    for name, source in images:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{hashlib.sha256(name.encode()).hexdigest()}"
        shutil.copyfile(source, partial)
        partial.rename(folder / name)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> bool:
    """Waits until the condition holds; False if the process has ended first."""
    end = time.monotonic() + 300
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < end
        time.sleep(0.002)
    return True


def holds(process: subprocess.Popen, locked: Path) -> bool:
    """Whether the process has the lock; the file may be of one that was killed."""
    try:
        return json.loads(locked.read_text())["pid"] == process.pid
    except (FileNotFoundError, ValueError):
        return False


def kill_after(process: subprocess.Popen, locked: Path, seconds: float) -> int | None:
    """Kills a process some time after it has locked its folder; returns its exit code."""
    try:
        if wait_for(lambda: holds(process, locked), process):
            time.sleep(seconds)
    finally:
        process.kill()
        process.communicate()
    return process.returncode


def timed(process: subprocess.Popen, locked: Path) -> float:
    """The time from the lock to the end, which must be a good one."""
    assert wait_for(lambda: holds(process, locked), process)
    start = time.monotonic()
    _, said = process.communicate()
    assert process.returncode == 0, said
    return time.monotonic() - start


def assert_whole(output: Path, names: list[str], kinds: tuple[str, ...]) -> None:
    """Every image has one row in each file and its pictures, and nothing is left over."""
    rows = [row["path"] for row in read_rows(output / "scores.csv")]
    lines = [line["path"] for line in read_lines(output / "scores.jsonl")]
    assert sorted(rows) == sorted(names) and lines == rows
    for kind in kinds:
        found = [path for path in (output / kind).rglob("*") if path.is_file()]
        assert len(found) == len(names)
    assert not [path for path in output.rglob(".*") if path.name != ".output.lock"]


def test_predictions(rdvar, trained, images, tmp_path):
    photos, output, locked = tmp_path / "in", tmp_path / "out", tmp_path / "out" / ".output.lock"
    put(images, photos)
    before = hashes(photos)
    args = ("predict", "--workdir", trained, "--input", photos, *SCALE)
    duration = timed(rdvar.start(*args, "--output", output), locked)
    expected = hashes(output)
    shutil.rmtree(output)
    draws, parts = random.Random(1), 0
    for _ in range(KILLS):
        process = rdvar.start(*args, "--output", output)
        killed = kill_after(process, locked, draws.uniform(0, 1.1 * duration))
        if killed == 0 or (output / "scores.csv").exists() and not marked(output):
            assert hashes(output) == expected  # whole, and a second call is refused
            assert killed == 0 or (output / "overlays").exists()
            shutil.rmtree(output)
        else:
            parts += marked(output)
        assert hashes(photos) == before
    assert parts >= KILLS // 2
    done = rdvar.process(*args, "--output", output)
    assert done.returncode == 0, done.stderr
    assert hashes(output) == expected
    assert_whole(output, [name for name, _ in images], ("overlays", "heat_maps", "maps"))
    assert hashes(photos) == before


def marked(output: Path) -> bool:
    return (output / ".unfinished").exists()


def test_watches(rdvar, trained, images, tmp_path):
    photos, output, locked = tmp_path / "in", tmp_path / "out", tmp_path / "out" / ".output.lock"
    photos.mkdir()
    args = ("predict", "--watch", "--workdir", trained, "--input", photos, "--output", output)
    args = (*args, "--interval", "0.05", *SCALE)
    draws = random.Random(2)
    waiting = list(images)
    for _ in range(KILLS):
        new, waiting = waiting[: len(images) // KILLS], waiting[len(images) // KILLS :]
        put(new, photos)
        before = hashes(photos)
        process = rdvar.start(*args)
        # Until it watches it takes about two seconds, and then a second for the new images.
        kill_after(process, locked, draws.uniform(1, 6))
        assert hashes(photos) == before
    put(waiting, photos)
    before, names = hashes(photos), [name for name, _ in images]
    process = rdvar.start(*args)

    def all_scored() -> bool:
        rows = output / "scores.jsonl"
        return rows.exists() and rows.read_bytes().count(b"\n") >= len(names)

    assert wait_for(all_scored, process), process.communicate()
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert_whole(output, names, ("overlays", "heat_maps", "maps"))
    assert hashes(photos) == before
    # The scores are those of one undisturbed call, up to the rounding of other batches.
    once = tmp_path / "once"
    done = rdvar.process("predict", "--workdir", trained, "--input", photos, "--output", once)
    assert done.returncode == 0, done.stderr
    expected = {row["path"]: float(row["score"]) for row in read_rows(once / "scores.csv")}
    found = {row["path"]: float(row["score"]) for row in read_rows(output / "scores.csv")}
    np.testing.assert_allclose([found[name] for name in names], [expected[n] for n in names], 1e-5)


def test_trainings(rdvar, trained, tmp_path):
    workdir, locked = tmp_path / "run", tmp_path / "run" / ".training.lock"
    settings = ("--config.train.checkpoint_every_epochs=1", "--config.train.epochs=30")
    undisturbed = tmp_path / "undisturbed"
    process = rdvar.start(*rdvar.train_args(undisturbed, *settings))
    duration = timed(process, undisturbed / ".training.lock")
    args, draws = rdvar.train_args(workdir, *settings), random.Random(3)
    for _ in range(KILLS):
        kill_after(rdvar.start(*args), locked, draws.uniform(0, duration))
        assert not (workdir / "checkpoints_damaged").exists()
    done = rdvar.process(*args)
    assert done.returncode == 0, done.stderr
    assert_same_state(workdir, undisturbed)
    assert metrics_lines(workdir) == metrics_lines(undisturbed)
    left = {path.name for path in workdir.iterdir()} - {path.name for path in undisturbed.iterdir()}
    assert not left
    assert sorted(os.listdir(workdir / "checkpoints")) == sorted(
        os.listdir(undisturbed / "checkpoints")
    )
