"""An evaluation that is killed anywhere leaves one whole set, the old or the new one."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from rdvar_process import assert_one_sentence

from rdvar_jax.commands.evaluating import evaluation_set
from rdvar_jax.commands.evaluating.evaluation_set import finish_evaluation, new_evaluation
from rdvar_jax.errors import CheckpointError
from rdvar_jax.report import figures
from rdvar_jax.runs.workdir import Workdir

PNG_NAMES = ("000_spot_000.png", "001_spot_001.png", "worst.png")


class Killed(BaseException):
    """The process ends here; nothing more is done to the disk."""


@contextmanager
def killed_at(number: int) -> Iterator[list[bool]]:
    """Lets the first `number` calls that change the disk through; the next one ends the process.

    Yields a list that is not empty once that happened.
    """
    calls, killed = count(), []

    def dying(function):
        def call(*args, **options):
            if next(calls) >= number:
                killed.append(True)
                raise Killed
            return function(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        for name in ("replace", "fsync", "unlink", "mkdir", "rmdir"):
            patch.setattr(os, name, dying(getattr(os, name)))
        yield killed


def write_set(workdir: Workdir, text: str, skipped: bool) -> None:
    with new_evaluation(workdir, "latest") as new:
        folder = new.figures("latest")
        folder.mkdir()
        for name in PNG_NAMES if text == "old" else PNG_NAMES[1:]:
            info = PngImagePlugin.PngInfo()
            info.add_text("Software", figures.OWN_MARK.decode())
            info.add_text("text", text)
            Image.new("L", (1, 1)).save(folder / name, pnginfo=info)
        new.skipped_test.write_text(text if skipped else "")
        for path in (new.scores("latest"), new.evaluation("latest"), new.results("latest")):
            path.write_text(text)


def read_set(workdir: Workdir) -> dict[str, str]:
    """Every visible file of the run's folder with its text."""
    found = {}
    for path in sorted(workdir.folder.rglob("*")):
        name = path.relative_to(workdir.folder).as_posix()
        if path.is_dir() or name.startswith("."):
            continue
        if path.suffix == ".png":
            with Image.open(path) as picture:
                found[name] = picture.info["text"]
        else:
            found[name] = path.read_text()
    return found


def expected(text: str, skipped: bool) -> dict[str, str]:
    names = PNG_NAMES if text == "old" else PNG_NAMES[1:]
    found = {f"figures/{name}": text for name in names} | {"figures/note.txt": "mine"}
    found |= {name: text for name in ("results.json", "scores.csv", "evaluation.json")}
    return found | ({"skipped_test.csv": text} if skipped else {})


def test_a_kill_at_any_moment_leaves_one_whole_set(tmp_path):
    original = Workdir(tmp_path / "original")
    original.folder.mkdir()
    write_set(original, "old", skipped=True)
    (original.figures("latest") / "note.txt").write_text("mine")
    assert read_set(original) == expected("old", True)
    seen = Counter()
    for number in range(200):
        workdir = Workdir(Path(shutil.copytree(original.folder, tmp_path / f"{number}")))
        with killed_at(number) as killed:
            write_set(workdir, "new", skipped=False)
        if (workdir.folder / ".results.part").exists():
            assert read_set(workdir) == expected("old", True), number  # nothing was touched
        for again in (number % 7, number % 5):  # its reader is killed too
            with killed_at(again):
                finish_evaluation(workdir, "latest")
        finish_evaluation(workdir, "latest")
        found = read_set(workdir)
        which = found["results.json"]
        assert found == expected(which, which == "old"), number
        seen[which] += 1
        write_set(workdir, "new", skipped=True)  # and the next call clears up
        assert read_set(workdir) == expected("new", True)
        assert not [path for path in workdir.folder.iterdir() if path.name.startswith(".")]
        shutil.rmtree(workdir.folder)
        if not killed:
            assert min(seen["old"], seen["new"]) > 8, seen
            return
    pytest.fail("the 200 calls are not all")


def test_an_error_leaves_the_old_set_and_nothing_else(tmp_path):
    workdir = Workdir(tmp_path)
    write_set(workdir, "old", skipped=True)
    with pytest.raises(OSError), new_evaluation(workdir, "latest") as new:
        new.results("latest").write_text("new")
        raise OSError(28, "No space left on device")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("results.json", "scores.csv", "evaluation.json", "skipped_test.csv", "figures")
    }
    assert workdir.results("latest").read_text() == "old"


def test_a_file_in_place_of_the_figures_is_named_before_anything_is_written(tmp_path):
    (tmp_path / "figures").write_text("")
    with pytest.raises(CheckpointError, match=r"figures is not a folder; remove or rename it\."):
        write_set(Workdir(tmp_path), "new", skipped=False)
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]


@pytest.mark.slow
def test_the_page_shows_one_evaluation_whenever_the_second_is_killed(
    rdvar, finished, copy_of, tmp_path, monkeypatch
):
    run = copy_of(finished.workdir)
    # Another blur gives other numbers and other pictures; its threshold would be refused.
    (run / "threshold.json").unlink()
    report = ("report", "--workdir", run, "--output")
    assert rdvar.run(*report, tmp_path / "old.html").returncode == 0
    second = ("evaluate", "--workdir", run, "--config.score.sigma=1")

    def killed_while(module, name: str, number: int) -> None:
        function, calls = getattr(module, name), []

        def die(*args, **options):
            calls.append(name)
            if len(calls) < number:
                return function(*args, **options)
            patch.setattr(shutil, "rmtree", lambda *args, **options: None)  # nothing is cleaned up
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(module, name, die)
            with pytest.raises(Killed):
                rdvar.run(*second)

    killed_while(figures, "draw_panel", 3)
    assert rdvar.run(*report, tmp_path / "same.html").returncode == 0
    assert (tmp_path / "same.html").read_text() == (tmp_path / "old.html").read_text()
    # After the new set is whole, and before its first file is in its place.
    killed_while(evaluation_set, "is_own_figure", 1)
    old, new = finished.workdir / "results.json", run / "results.json"
    assert new.read_bytes() == old.read_bytes()
    assert rdvar.run(*report, tmp_path / "new.html").returncode == 0
    assert (tmp_path / "new.html").read_text() != (tmp_path / "same.html").read_text()
    hashes = json.loads(new.read_text())["files"]
    assert hashes != json.loads(old.read_text())["files"] and len(hashes) == 2
    for name, digest in hashes.items():
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == digest


def test_pieces_of_two_evaluations_are_refused(rdvar, finished, copy_of):
    run = copy_of(finished.workdir)
    assert rdvar.evaluate(run, "--config.report.max_figures=1").returncode == 0
    for name in ("results.json", "evaluation.json"):
        shutil.copy(finished.workdir / name, run / f"other_{name}")
    os.replace(run / "other_evaluation.json", run / "evaluation.json")
    done = rdvar.run("report", "--workdir", run)
    assert_one_sentence(
        done,
        f"{run / 'results.json'} and {run / 'evaluation.json'} are of different evaluations; "
        f"run rdvar evaluate --workdir {run} first.",
    )
