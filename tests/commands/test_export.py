"""`rdvar export`, from the command line to a detector's scores."""

import hashlib
import json
import logging
import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from rdvar_process import assert_one_sentence
from resealed import unsealed
from run_files import read_scores

from rdvar_jax import Detector
from rdvar_jax.commands.export import export as export_run
from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.errors import UserError
from rdvar_jax.runs.workdir import Workdir, load_config
from rdvar_jax.serving.archive import read_bundle
from rdvar_jax.version import __version__


@pytest.fixture
def workdir(finished) -> Path:
    """A run with scores of its test images and a threshold."""
    return finished.workdir


def test_a_bundle_scores_as_evaluation_does(finished, workdir, toy_root):
    path = finished.exports / "part.rdvar"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    said = finished.said["export"].stdout
    assert f"exported {path}" in said and sha256 in said
    assert {file.name for file in path.parent.iterdir()} == {"part.rdvar", "part.onnx"}

    expected = read_scores(workdir / "scores.csv")
    images = [toy_root / "tile" / name for name in expected]
    detector = Detector.load(path, sha256=sha256)
    found = detector.predict(images)
    np.testing.assert_allclose(found.scores, list(expected.values()), rtol=1e-5)
    stored = unsealed(workdir / "threshold.json")
    assert found.threshold == stored["threshold"]
    assert np.array_equal(found.verdicts, found.scores > np.float32(stored["threshold"]))
    assert 0 < found.verdicts.sum() < 7

    manifest = read_bundle(path)[0]
    assert manifest["threshold"] == stored
    assert manifest["versions"]["rdvar_jax"] == __version__
    results = json.loads((workdir / "results.json").read_text())
    assert manifest["run"] == {
        "category": "tile",
        "checkpoint": "latest",
        "step": 20,
        "epoch": 8,
        "checkpoint_sha256": results["checkpoint_sha256"],
        "teacher_sha256": results["teacher"]["sha256"],
    }


def test_an_onnx_model_scores_as_evaluation_does(finished, workdir, toy_root):
    path = finished.exports / "part.onnx"
    assert hashlib.sha256(path.read_bytes()).hexdigest() in finished.said["onnx"].stdout
    expected = read_scores(workdir / "scores.csv")
    pixels = np.stack([decode_image(toy_root / "tile" / name, 32) for name in expected])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    maps, scores = session.run(["maps", "scores"], {"images": pixels})
    np.testing.assert_allclose(scores, list(expected.values()), rtol=1e-5)
    assert maps.shape == (7, 32, 32)
    about = json.loads(session.get_modelmeta().custom_metadata_map["rdvar"])
    assert about["threshold"] == unsealed(workdir / "threshold.json")
    assert about["image"]["height"] == 32 and about["run"]["step"] == 20


def test_the_threshold_and_sigma_that_are_given_hold(workdir, toy_root, tmp_path):
    path = tmp_path / "part.rdvar"
    config = load_config(Workdir(workdir))
    config.score.sigma = 1.0
    export_run(config, Workdir(workdir), path, threshold=0.1)
    manifest = read_bundle(path)[0]
    assert manifest["threshold"]["threshold"] == float(np.float32(0.1))
    assert manifest["threshold"]["method"] == "given"
    assert manifest["map"]["sigma"] == 1.0
    # Less blurred: a higher peak.
    image = toy_root / "tile" / "test" / "spot" / "000.png"
    expected = read_scores(workdir / "scores.csv")["test/spot/000.png"]
    assert Detector.load(path).predict(image).scores[0] > 1.01 * expected


def test_without_a_threshold_it_says_so(trained, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "rdvar_jax"):
        export_run(load_config(Workdir(trained)), Workdir(trained), tmp_path / "part.rdvar")
    assert "has no threshold" in caplog.text and "rdvar threshold" in caplog.text
    assert Detector.load(tmp_path / "part.rdvar").threshold is None


def test_what_cannot_be_exported_is_said_and_changes_nothing(workdir, tmp_path):
    kept, image = tmp_path / "kept.rdvar", tmp_path / "image.png"
    kept.write_bytes(b"of before")
    image.write_bytes(b"an image")
    (tmp_path / "folder.rdvar").mkdir()
    run = Workdir(workdir)
    config = load_config(run)
    tiles = load_config(run)
    tiles.data.geometry = "tile"
    other_blur = load_config(run)
    other_blur.score.sigma = 1.0  # the stored threshold is not of it
    for of_config, output, options, words in [
        (config, image, {}, f"{image} must end in .rdvar"),
        (config, kept, {"file_format": "onnx"}, "must end in .onnx"),
        (config, tmp_path / "folder.rdvar", {}, "is a folder"),
        (config, tmp_path / "none" / "x.rdvar", {}, "cannot be written"),
        (config, kept, {"threshold": math.nan}, "--threshold nan"),
        (tiles, kept, {}, "data.geometry=tile cannot be exported"),
        (other_blur, kept, {}, "score.sigma"),
    ]:
        with pytest.raises(UserError) as caught:
            export_run(of_config, run, output, **options)
        assert words in str(caught.value) and "\n" not in str(caught.value)
    assert kept.read_bytes() == b"of before" and image.read_bytes() == b"an image"
    assert {path.name for path in tmp_path.iterdir()} == {"kept.rdvar", "image.png", "folder.rdvar"}


def test_the_command_asks_for_what_is_missing(rdvar, workdir):
    assert_one_sentence(rdvar.run("export", "--workdir", workdir), "--output")
