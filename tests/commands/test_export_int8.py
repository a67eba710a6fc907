"""`rdvar export --precision int8`, from the command line to a detector's scores."""

import dataclasses

import numpy as np
import pytest
from rdvar_process import assert_one_sentence
from resealed import unsealed

from rdvar_jax import Detector
from rdvar_jax.commands.thresholds import int8_images
from rdvar_jax.serving.int8 import make_int8

INT8 = ("--format", "onnx", "--precision", "int8")


@pytest.mark.slow
def test_an_int8_model_scores_nearly_as_the_float32_model(
    rdvar, finished, toy_root, tmp_path, monkeypatch
):
    # Features of this narrow network vanish in places, where a cosine jumps.
    limits = dataclasses.replace(make_int8.WRITTEN, map_change=0.2)
    monkeypatch.setattr(make_int8, "WRITTEN", limits)
    path = tmp_path / "int8.onnx"
    done = rdvar.run("export", "--workdir", finished.workdir, "--output", path, *INT8)
    assert done.returncode == 0, done.stderr
    assert "int8: measuring each of 38 convolutions on 26 images" in done.stderr
    images = sorted((toy_root / "tile" / "test").rglob("*.png"))
    float32, int8 = Detector.load(finished.exports / "part.onnx"), Detector.load(path)
    expected, found = float32.predict(images), int8.predict(images)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0.1)
    assert not np.array_equal(found.scores, expected.scores)

    about = int8.manifest
    assert about["model"]["precision"] == "int8"
    quantisation = about["quantisation"]
    assert quantisation["precision"] == "int8"
    assert quantisation["num_int8"] + len(quantisation["float32"]) == 38
    assert quantisation["num_calibration"] == {"good": 4, "drawn": 48}
    assert quantisation["check"]["map_change"] <= quantisation["limits"]["map_change"]
    # The threshold is that of the run, by the factor of the same images.
    stored = unsealed(finished.workdir / "threshold.json")
    entry = about["threshold"]
    assert entry["int8"]["of_float32"] == stored["threshold"]
    assert entry["int8"]["num_images"] == 10
    factor = entry["int8"]["factor"]
    assert entry["threshold"] == float(np.float32(stored["threshold"] * factor)) == found.threshold
    moved = [score * factor for score in stored["good_scores"]]
    assert entry["good_scores"] == pytest.approx(moved, rel=1e-6)
    assert {**entry, "threshold": 0, "pixel_threshold": 0} == {
        **stored,
        "threshold": 0,
        "pixel_threshold": 0,
        "good_scores": entry["good_scores"],
        "int8": entry["int8"],
    }
    assert quantisation["limits"] == dataclasses.asdict(limits)
    again = tmp_path / "again.onnx"
    done = rdvar.run("export", "--workdir", finished.workdir, "--output", again, *INT8)
    assert done.returncode == 0 and again.read_bytes() == path.read_bytes()


def test_a_refused_model_leaves_the_file_of_before(rdvar, finished, tmp_path, monkeypatch):
    limits = make_int8.WRITTEN
    monkeypatch.setattr(make_int8, "WRITTEN", type(limits)(1.1, 1.1, 0.0))
    monkeypatch.setattr(
        make_int8, "sensitivities", lambda q, *_: dict.fromkeys(q.convolutions, 0.0)
    )
    path = tmp_path / "part.onnx"
    path.write_bytes(b"of before")
    done = rdvar.run("export", "--workdir", finished.workdir, "--output", path, *INT8)
    assert_one_sentence(done, "nothing was written", "rank correlation", "--precision float32")
    assert path.read_bytes() == b"of before"
    assert {one.name for one in tmp_path.iterdir()} == {"part.onnx"}


def test_what_int8_cannot_be_made_of_is_one_sentence(rdvar, finished, tmp_path, monkeypatch):
    of_run = ("export", "--workdir", finished.workdir)
    bundle = (*of_run, "--output", tmp_path / "a.rdvar", "--precision", "int8")
    assert_one_sentence(rdvar.run(*bundle), "--precision int8 is for --format onnx")
    monkeypatch.setattr(int8_images, "FEWEST", 11)
    model = (*of_run, "--output", tmp_path / "a.onnx", *INT8)
    assert_one_sentence(rdvar.run(*model), "needs 11 good images of the run, and it has 10")
    gone = (*model, f"--config.data.root={tmp_path / 'gone'}")
    assert_one_sentence(rdvar.run(*gone), "gone")
    assert not list(tmp_path.iterdir())


def test_no_image_serves_two_purposes(rdvar, finished):
    from rdvar_jax import Run

    groups = int8_images.int8_images(Run.open(finished.workdir).recipe)
    parts = [groups.calibration, groups.choice, groups.check]
    assert [len(part.good) for part in parts] == [4, 2, 4]
    good = {image.tobytes() for part in parts for image in part.good}
    drawn = {image.tobytes() for part in parts for image in part.drawn}
    # Not all, since an image moved on itself may look the same.
    assert len(good) == 10 and len(drawn - good) > 65
    assert len(groups.good) == 10
