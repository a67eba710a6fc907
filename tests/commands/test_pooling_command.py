"""Scores that are the mean of the highest pixels, through all commands."""

import json

import numpy as np
import pytest
from rdvar_process import assert_one_sentence
from resealed import unsealed
from run_files import read_lines, read_scores

from rdvar_jax import Detector, Run

POOLED = "--config.score.pooling=0.05"
TARGET = ("--target=0.4", "--confidence=0.75")  # three good images are enough for it


@pytest.mark.slow
def test_every_command_scores_by_the_setting(rdvar, finished, copy_of, tmp_path):
    workdir = copy_of(finished.workdir)
    before = read_scores(workdir / "scores.csv")
    run = ("--workdir", workdir, POOLED)
    good, photos = rdvar.root / "tile" / "test" / "good", rdvar.root / "tile" / "test"
    # The threshold of the maxima is not one of these scores.
    for command in ("evaluate", "export"):
        output = () if command == "evaluate" else ("--output", tmp_path / "part.rdvar")
        assert_one_sentence(rdvar.run(command, *run, *output), "threshold.json", "'max'", "0.05")
    assert read_scores(workdir / "scores.csv") == before

    assert rdvar.run("threshold", *run, "--input", good, *TARGET).returncode == 0
    stored = unsealed(workdir / "threshold.json")
    assert stored["score"]["score.pooling"] == 0.05
    assert rdvar.run("evaluate", *run).returncode == 0
    scores = read_scores(workdir / "scores.csv")
    maxima = [before[name] for name in scores if "/good/" in name]
    assert stored["threshold"] == max(s for name, s in scores.items() if "/good/" in name)
    assert np.float32(stored["pixel_threshold"]) == max(maxima) > stored["threshold"]
    assert all(scores[name] < before[name] for name in before)
    settings = json.loads((workdir / "evaluation.json").read_text())["settings"]
    assert settings["score.pooling"] == 0.05
    assert rdvar.run("report", "--workdir", workdir).returncode == 0
    assert "the mean of the highest values" in (workdir / "report.html").read_text()

    output = tmp_path / "out"
    options = ("--input", photos, "--output", output, "--noheat_maps", "--nooverlays")
    assert rdvar.run("predict", *run, *options).returncode == 0
    about = unsealed(output / "prediction.json")
    assert about["score"]["score.pooling"] == 0.05
    assert about["thresholds"] == {
        "image": stored["threshold"],
        "pixel": stored["pixel_threshold"],
        "min_area": 0,
    }
    predicted = {
        f"test/{name}": score for name, score in read_scores(output / "scores.csv").items()
    }
    assert predicted.keys() == scores.keys()
    for line in read_lines(output / "scores.jsonl"):
        name = f"test/{line['path']}"
        assert predicted[name] == scores[name]
        assert (line["verdict"] == "defective") == (scores[name] > np.float32(stored["threshold"]))
        # A region where the map, of which the maximum is known, is above the threshold of pixels.
        assert (line["num_regions"] > 0) == (before[name] > np.float32(stored["pixel_threshold"]))

    bundle = tmp_path / "part.rdvar"
    assert rdvar.run("export", *run, "--output", bundle).returncode == 0
    images = [rdvar.root / "tile" / name for name in scores]
    detector = Detector.load(bundle)
    found = detector.predict(images)
    np.testing.assert_allclose(found.scores, list(scores.values()), rtol=1e-5)
    assert detector.pixel_threshold == stored["pixel_threshold"]
    assert detector.manifest["map"] == {
        "sigma": 4.0,
        "pooling": 0.05,
        "score": "mean of the highest values of the map, 0.05 of its pixels",
        "ignore_sha256": None,
    }
    assert Run.open(workdir).config.score.pooling == "max"  # of the run, whatever a call was given
