"""Outputs that are not given: named after the first input, and numbered where taken."""

import os
import shutil
from pathlib import Path

import pytest
from rdvar_process import assert_one_sentence
from run_files import read_scores

from rdvar_jax.commands.predict import NAMELESS, default_name
from rdvar_jax.commands.predicting.output_part import UNFINISHED, locked_output, numbered_output

FAST = ("--noheat_maps", "--nooverlays")


@pytest.fixture
def run(trained, copy_of) -> Path:
    return copy_of(trained)


def predicted(rdvar, workdir, *args) -> str:
    done = rdvar.run("predict", "--workdir", workdir, *args, *FAST)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.split(" Open ")[1].strip()).parent
    assert (folder / "scores.csv").is_file() and folder.parent == workdir / "predictions"
    return folder.name


def test_paths_need_no_flag_and_outputs_are_numbered(rdvar, run, toy_root, monkeypatch):
    monkeypatch.chdir(toy_root / "tile")
    assert predicted(rdvar, run, "test/good", "test/spot/003.png") == "good"
    assert predicted(rdvar, run, "--input", "test/good") == "good-2"
    of_flag = read_scores(run / "predictions" / "good-2" / "scores.csv")
    assert of_flag.items() < read_scores(run / "predictions" / "good" / "scores.csv").items()
    assert len(of_flag) == 3


@pytest.mark.slow
def test_a_run_with_predictions_is_a_run(rdvar, run, toy_root):
    assert predicted(rdvar, run, toy_root / "tile" / "test" / "*" / "000.png", "--nopage") == "test"
    for command in (("evaluate",), ("report",), ("export", "--output", run.parent / "x.rdvar")):
        done = rdvar.run(*command, "--workdir", run)
        assert done.returncode == 0, done.stderr
    assert os.listdir(run / "predictions") == ["test"]


def test_a_call_that_fails_leaves_no_folder(rdvar, run, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    assert_one_sentence(rdvar.run("predict", "--workdir", run, bad), "bad.png")
    assert not (run / "predictions").exists()


def test_the_output_of_a_killed_call_is_made_anew_and_one_in_use_is_not(tmp_path):
    with (
        numbered_output(tmp_path / "p", "a") as first,
        numbered_output(tmp_path / "p", "a") as next_,
    ):
        assert (first.name, next_.name) == ("a", "a-2")
    assert not (tmp_path / "p").exists()  # nothing was written
    (tmp_path / "p" / "a").mkdir(parents=True)
    (tmp_path / "p" / "a" / UNFINISHED).touch()
    (tmp_path / "p" / "a" / "scores.csv").touch()
    with numbered_output(tmp_path / "p", "a") as again:
        assert again.name == "a"
    with locked_output(tmp_path / "p" / "a"), numbered_output(tmp_path / "p", "a") as other:
        assert other.name == "a-2"


def test_whatever_has_the_name_is_kept(tmp_path):
    (tmp_path / "a").write_text("mine")
    (tmp_path / "a-2").symlink_to("gone")
    (tmp_path / "a-3").mkdir()
    (tmp_path / "a-3" / "notes.txt").touch()
    with numbered_output(tmp_path, "a") as output:
        assert output.name == "a-4"
    assert (tmp_path / "a").read_text() == "mine"
    (tmp_path / "a-3" / "notes.txt").unlink()
    with numbered_output(tmp_path, "a") as output:
        assert output.name == "a-3"  # an empty folder is free


def test_names_come_from_the_first_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "line [2]", ".hidden", "x" * 250, "\udcff\n"):
        Path(name).mkdir()
    Path("photos", "a.b.png").touch()
    names = {
        "photos": "photos",
        "photos/": "photos",
        "./photos/../photos": "photos",
        "photos/a.b.png": "a.b",
        "photos/**/*.png": "photos",
        "line [2]/*.png": "line [2]",
        "*.png": tmp_path.name,
        ".": tmp_path.name,
        ".hidden": "hidden",
        "\udcff\n": "\udcff\n",
        "x" * 250: "x" * 200,
        "/": NAMELESS,
    }
    for given, name in names.items():
        assert default_name([Path(given), Path("other")]) == name


def test_an_output_in_the_photographs_is_refused(rdvar, run, toy_root):
    shutil.copytree(toy_root / "tile" / "test", run / "predictions" / "photos")
    done = rdvar.run("predict", "--workdir", run, run / "predictions")
    assert_one_sentence(done, "is inside the input")
