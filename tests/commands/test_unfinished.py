"""Predictions that were stopped or killed: their parts are removed, and nothing else is."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from rdvar_process import assert_one_sentence

from rdvar_jax.commands.predicting import output_part
from rdvar_jax.commands.predicting.output_part import UNFINISHED
from rdvar_jax.files.locks import OUTPUT
from rdvar_jax.report.prediction_files import ScoreLines

ARGS = ("--noheat_maps", "--save_maps", "--color_scale", "0.1,1", "--config.score.batch_size=2")


@pytest.fixture
def call(rdvar, trained, toy_root, tmp_path):
    """Predicts seven images into tmp_path / "out"."""
    args = ("--workdir", trained, "--input", toy_root / "tile" / "test", *ARGS)
    return lambda: rdvar.run("predict", *args, "--output", tmp_path / "out")


def after_rows(monkeypatch, number: int, act) -> None:
    """Acts before the row after that many is written, when the pictures of some more are."""
    add, rows = ScoreLines.add, []

    def add_or_act(self, prediction) -> None:
        rows.append(prediction)
        if len(rows) > number:
            act()
        add(self, prediction)

    monkeypatch.setattr(ScoreLines, "add", add_or_act)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def part(call, monkeypatch, tmp_path) -> Path:
    """The output of a call that was killed: as after a kill, nothing of it is cleaned up."""
    with monkeypatch.context() as patch:

        def end() -> None:
            raise KeyboardInterrupt

        after_rows(patch, 4, end)
        patch.setattr(output_part, "_remove_part", lambda output: None)
        assert call().returncode == 130
    output = tmp_path / "out"
    assert len(files(output / "overlays")) > 4 and not (output / "scores.csv").exists()
    (output / OUTPUT).touch()
    (output / ".scores.csv.tmp").write_text("path,sc")
    (output / "maps" / "good" / ".000.npy.tmp").write_bytes(b"x")
    return output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("makes", [True, False])
def test_a_signal_leaves_what_was_there(call, monkeypatch, tmp_path, number, makes):
    if not makes:
        (tmp_path / "out").mkdir()
    after_rows(monkeypatch, 4, lambda: signal.raise_signal(number))
    done = call()
    assert done.returncode == 128 + number
    name = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}[number]
    assert done.stderr.endswith(f"rdvar: stopped by {name}; files saved before are intact\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if makes:
        assert not (tmp_path / "out").exists()
    else:
        assert list((tmp_path / "out").iterdir()) == []


def test_after_a_kill_the_same_call_gives_the_whole_result(call, part):
    done = call()
    assert done.returncode == 0, done.stderr
    assert "removing the files of a call that did not finish" in done.stderr
    found = files(part)
    shutil.rmtree(part)
    assert call().returncode == 0
    assert found == files(part) and UNFINISHED not in found and len(found) == 4 * 7 + 4
    done = call()
    assert_one_sentence(done, "is not empty; give a new or an empty folder")
    assert files(part) == found


def test_files_that_it_did_not_make_are_kept(call, part):
    mine = {"notes.txt": b"1", "overlays/mine.png": b"2", "overlays/good/.hidden": b"3"}
    for name, content in mine.items():
        (part / name).write_bytes(content)
    assert_one_sentence(call(), "is not empty")
    assert files(part) == mine


def test_a_list_cannot_name_files_elsewhere(call, part, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"a photograph")
    (part / "link").symlink_to(photos)
    names = ["../photos/a.png", str(photos / "a.png"), "link/a.png", "overlays/../link/a.png", 7]
    with (part / UNFINISHED).open("a") as file:
        file.writelines(json.dumps(name) + "\n" for name in names)
        file.write('"overlays/cut off')
    assert_one_sentence(call(), "is not empty")
    assert os.listdir(part) == ["link"]
    assert files(photos) == {"a.png": b"a photograph"}


def test_a_watch_does_not_take_a_part_for_its_own(rdvar, trained, part, tmp_path):
    (tmp_path / "in").mkdir()
    args = ("--workdir", trained, "--input", tmp_path / "in", "--output", part, *ARGS)
    before = files(part)
    done = rdvar.run("predict", "--watch", *args)
    assert_one_sentence(done, "holds a part of a rdvar predict that did not finish")
    before.pop(OUTPUT)  # ours now, and released
    assert files(part) == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended(rdvar, trained, toy_root, tmp_path, number):
    """A process, for the signals: one leaves nothing; after the other the next call works."""
    args = ("--workdir", trained, "--input", toy_root / "tile" / "test", *ARGS)
    command = ("predict", *args, "--output", tmp_path / "out")
    # Ends itself after four rows.
    before = (
        "import os, signal\nfrom rdvar_jax.report.prediction_files import ScoreLines as S\n"
        "S.n, add = 0, S.add\n"
        "def new(self, row):\n    S.n += 1\n    add(self, row)\n"
        f"    S.n == 4 and os.kill(os.getpid(), {int(number)})\n"
        "S.add = new"
    )
    done = rdvar.process(*command, before=before)
    if number == signal.SIGTERM:
        assert done.returncode == 143 and not (tmp_path / "out").exists()
    else:
        assert done.returncode == -9 and (tmp_path / "out" / UNFINISHED).exists()
    done = rdvar.run(*command)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out")) == 4 * 7 + 4


def test_a_call_meanwhile_is_told_so_and_takes_nothing_away(rdvar, call, monkeypatch, tmp_path):
    """The second starts in the middle of the first, which is the winner."""
    said = []

    def second() -> None:
        if not said:
            said.append(call())

    after_rows(monkeypatch, 4, second)
    done = call()
    assert done.returncode == 0, done.stderr
    assert_one_sentence(said[0], f"{tmp_path / 'out'} is in use by another process (pid ")
    assert "wait until it ends, or give another --output." in said[0].stderr
    assert len(files(tmp_path / "out")) == 4 * 7 + 4
