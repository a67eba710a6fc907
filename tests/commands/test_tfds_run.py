"""Runs from TFDS sets, in processes in which TensorFlow cannot be imported."""

import subprocess
import sys

import pytest
from saved_state import assert_same_state

# As if it were not installed: looked for, it is not found; imported, that fails.
WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *args: None if name == "tensorflow" else find(name, *args)
from rdvar_jax.cli.main import main
code = main(sys.argv[1:])
assert "tensorflow" not in sys.modules
sys.exit(code)
"""


class Rdvar:
    """Starts `rdvar` as in rdvar_process.py, without TensorFlow."""

    def __init__(self, rdvar):
        self._rdvar = rdvar

    def run(self, *args) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_TENSORFLOW, *map(str, args)],
            env=self._rdvar.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def train(self, workdir, *settings) -> subprocess.CompletedProcess:
        return self.run(*self._rdvar.train_args(workdir, *settings))


@pytest.fixture(scope="module")
def tfds_rdvar(rdvar) -> Rdvar:
    return Rdvar(rdvar)


def test_the_same_weights_and_scores_as_from_the_folder(rdvar, tfds_rdvar, trained, tmp_path):
    data_dir = tmp_path / "tfds"
    words = ("--source", "tfds", "--manual_dir", rdvar.root, "--data_dir", data_dir)
    made = tfds_rdvar.run("prepare", *words)
    assert made.returncode == 0, made.stderr
    assert str(data_dir / "mvtec_ad" / "tile" / "1.0.0") in made.stdout

    workdir = tmp_path / "run"
    settings = ("--config.data.source=tfds", f"--config.data.root={data_dir}")
    done = tfds_rdvar.train(workdir, *settings)
    assert done.returncode == 0, done.stderr
    assert_same_state(workdir, trained)


@pytest.mark.slow
def test_evaluation_and_streaming_read_it_too(rdvar, tfds_rdvar, trained, tmp_path):
    data_dir = tmp_path / "tfds"
    words = ("--source", "tfds", "--manual_dir", rdvar.root, "--data_dir", data_dir)
    assert tfds_rdvar.run("prepare", *words, "--category", "tile").returncode == 0
    settings = ("--config.data.source=tfds", f"--config.data.root={data_dir}")
    on_disk = (*settings, "--config.data.memory_budget_gb=0", "--config.data.num_workers=1")
    for workdir, more in (("folder", ()), ("tfds", on_disk)):
        done = tfds_rdvar.train(tmp_path / workdir, "--config.train.cache_features=off", *more)
        assert done.returncode == 0, done.stderr
        done = tfds_rdvar.run("evaluate", "--workdir", tmp_path / workdir)
        assert done.returncode == 0, done.stderr
    assert_same_state(tmp_path / "tfds", tmp_path / "folder")
    scores = [(tmp_path / name / "scores.csv").read_text() for name in ("folder", "tfds")]
    assert scores[0] == scores[1]


@pytest.mark.slow
@pytest.mark.real_data
def test_screw_gives_the_same_weights(rdvar, tfds_rdvar, shared, tmp_path):
    folders = shared / "data" / "mvtec_256"
    words = ("--source", "tfds", "--manual_dir", folders, "--data_dir", tmp_path / "tfds")
    made = tfds_rdvar.run("prepare", *words, "--category", "screw")
    assert made.returncode == 0, made.stderr
    steps = ("--config.data.category=screw", "--config.train.batch_size=80")
    steps = (*steps, "--config.train.epochs=1")
    sources = {
        "folder": (f"--config.data.root={folders}",),
        "tfds": (f"--config.data.root={tmp_path / 'tfds'}", "--config.data.source=tfds"),
    }
    for name, source in sources.items():
        done = tfds_rdvar.train(tmp_path / name, *steps, *source)
        assert done.returncode == 0, done.stderr
        assert "320 images of 32x32" in done.stderr
    assert_same_state(tmp_path / "tfds", tmp_path / "folder")


def test_what_is_missing_is_said_in_one_sentence(tfds_rdvar, tmp_path):
    done = tfds_rdvar.run("prepare", "--source", "tfds", "--manual_dir", tmp_path)
    assert done.returncode == 2
    assert "--source tfds needs --manual_dir FOLDER and --data_dir TFDS_FOLDER" in done.stderr
