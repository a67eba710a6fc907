"""Runs from TFDS sets, in processes in which TensorFlow cannot be imported."""

from functools import partial

import pytest
from saved_state import assert_same_state

# As if it were not installed: looked for, it is not found; imported, that fails.
WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *args: None if name == "tensorflow" else find(name, *args)
import atexit, os
from rdvar_jax.cli.main import main
atexit.register(lambda: "tensorflow" in sys.modules and os._exit(99))
"""


@pytest.fixture
def without_tensorflow(rdvar):
    """Runs a command in a process of its own, for what it imports."""
    return partial(rdvar.process, before=WITHOUT_TENSORFLOW)


def test_the_same_weights_and_scores_as_from_the_folder(rdvar, trained, tmp_path):
    data_dir = tmp_path / "tfds"
    words = ("--source", "tfds", "--manual_dir", rdvar.root, "--data_dir", data_dir)
    prepare = f"assert main({['prepare', *map(str, words)]}) == 0"
    workdir = tmp_path / "run"
    settings = ("--config.data.source=tfds", f"--config.data.root={data_dir}")
    # Both commands in one process, for what it imports.
    done = rdvar.process(*rdvar.train_args(workdir, *settings), before=WITHOUT_TENSORFLOW + prepare)
    assert done.returncode == 0, done.stderr
    assert str(data_dir / "mvtec_ad" / "tile" / "1.0.0") in done.stdout
    assert_same_state(workdir, trained)
    kept = [(folder / "trained_images.json").read_text() for folder in (workdir, trained)]
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_evaluation_and_streaming_read_it_too(rdvar, without_tensorflow, trained, tmp_path):
    data_dir = tmp_path / "tfds"
    words = ("--source", "tfds", "--manual_dir", rdvar.root, "--data_dir", data_dir)
    assert rdvar.run("prepare", *words, "--category", "tile").returncode == 0
    settings = ("--config.data.source=tfds", f"--config.data.root={data_dir}")
    on_disk = (*settings, "--config.data.memory_budget_gb=0", "--config.data.num_workers=1")
    for workdir, more in (("folder", ()), ("tfds", on_disk)):
        args = rdvar.train_args(tmp_path / workdir, "--config.train.cache_features=off", *more)
        done = without_tensorflow(*args)
        assert done.returncode == 0, done.stderr
        done = without_tensorflow("evaluate", "--workdir", tmp_path / workdir)
        assert done.returncode == 0, done.stderr
    assert_same_state(tmp_path / "tfds", tmp_path / "folder")
    scores = [(tmp_path / name / "scores.csv").read_text() for name in ("folder", "tfds")]
    assert scores[0] == scores[1]


@pytest.mark.nightly  # as the toy set's test above, for minutes
@pytest.mark.real_data
def test_screw_gives_the_same_weights(rdvar, shared, tmp_path):
    folders = shared / "data" / "mvtec_256"
    words = ("--source", "tfds", "--manual_dir", folders, "--data_dir", tmp_path / "tfds")
    made = rdvar.run("prepare", *words, "--category", "screw")
    assert made.returncode == 0, made.stderr
    steps = ("--config.data.category=screw", "--config.train.batch_size=80")
    steps = (*steps, "--config.train.epochs=1")
    sources = {
        "folder": (f"--config.data.root={folders}",),
        "tfds": (f"--config.data.root={tmp_path / 'tfds'}", "--config.data.source=tfds"),
    }
    for name, source in sources.items():
        done = rdvar.train(tmp_path / name, *steps, *source)
        assert done.returncode == 0, done.stderr
        assert "320 images of 32x32" in done.stderr
    assert_same_state(tmp_path / "tfds", tmp_path / "folder")


def test_what_is_missing_is_said_in_one_sentence(rdvar, tmp_path):
    done = rdvar.run("prepare", "--source", "tfds", "--manual_dir", tmp_path)
    assert done.returncode == 2
    assert "--source tfds needs --manual_dir FOLDER and --data_dir TFDS_FOLDER" in done.stderr
