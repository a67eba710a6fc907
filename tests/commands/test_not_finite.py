"""Scores that are not finite are never good: each command names the image."""

import math
import shutil
import signal

import numpy as np
import pytest
from rdvar_process import assert_one_sentence
from run_files import read_rows

from rdvar_jax.commands.predicting.image_writer import ImageWriter, Outputs
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.errors import DataError
from rdvar_jax.runs.saved_run import TrainedRun
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.serving.judgement import Thresholds


@pytest.fixture
def broken(monkeypatch):
    """Makes the second score of every batch NaN."""
    real = TrainedRun.__init__

    def init(self, score, *rest):
        def with_nan(*args, **options):
            maps, scores = map(np.array, score(*args, **options))
            scores[1:2] = math.nan
            return maps, scores

        real(self, with_nan, *rest)

    monkeypatch.setattr(TrainedRun, "__init__", init)


@pytest.mark.parametrize("command", ["evaluate", "predict", "threshold"])
def test_each_command_names_the_image(rdvar, finished, copy_of, tmp_path, broken, command):
    workdir, good = copy_of(finished.workdir), rdvar.root / "tile" / "test" / "good"
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    flags = {
        "evaluate": (),
        "predict": ("--input", good, "--output", tmp_path / "out", "--on_error=skip"),
        "threshold": ("--input", good, "--target=0.4", "--confidence=0.75"),
    }
    done = rdvar.run(command, "--workdir", workdir, *flags[command])
    assert_one_sentence(done, "001.png has the score nan, which is not a finite number")
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "out").exists()


def test_watching_goes_on_and_lists_the_image(rdvar, finished, tmp_path, broken, monkeypatch):
    polls = []

    def wait(interval, stop):
        polls.append(interval)
        if len(polls) == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("rdvar_jax.commands.watch._wait", wait)
    folder = shutil.copytree(rdvar.root / "tile" / "test" / "good", tmp_path / "in")
    done = rdvar.run(
        *("predict", "--watch", "--workdir", finished.workdir, "--input", folder),
        *("--output", tmp_path / "out", "--interval", "0.1"),
    )
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "out" / "scores.csv")
    (skipped,) = read_rows(tmp_path / "out" / "skipped.csv")
    assert "has the score nan, which is not a finite number" in skipped["reason"]
    names = {row["path"] for row in rows}
    assert len(names) == 2 and names | {skipped["path"]} == {"000.png", "001.png", "002.png"}
    assert not list((tmp_path / "out").rglob(f"*/{skipped['path']}"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_such_image_is_named(value):
    refuse_not_finite(["a", "b"], np.array([1, 2], np.float32))
    with pytest.raises(DataError, match=f"^b has the score {value}, which is not a finite"):
        refuse_not_finite(["a", "b", "c"], np.array([1, value, value], np.float32))


def test_a_verdict_on_nan_would_be_defective(tmp_path):
    wanted = Outputs(heat_maps=False, overlays=False)
    writer = ImageWriter(tmp_path, Geometry("squash", 32, 32), Thresholds(image=0.5), wanted)
    image = InputImage(tmp_path / "a.png", "a.png")
    nothing = np.zeros((32, 32), np.float32)
    for score, verdict in ((math.nan, "defective"), (0.5, "good"), (0.6, "defective")):
        found = writer.write(image, nothing, nothing, np.float32(score))
        assert found.verdict == verdict
