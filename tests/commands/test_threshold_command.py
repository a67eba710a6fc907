"""A threshold from good images, from the command line."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rdvar_process import assert_one_sentence
from resealed import seal_again
from run_files import read_rows

from rdvar_jax.commands.thresholds.good_images import score_images
from rdvar_jax.commands.thresholds.threshold_images import good_images_of
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.inputs import find_inputs
from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.data_checks import find_data


@pytest.fixture
def run(finished, copy_of) -> Path:
    return copy_of(finished.workdir)


def threshold(rdvar, workdir, *args):
    return rdvar.run("threshold", "--workdir", workdir, *args)


def test_the_file_the_evaluation_and_another_state(rdvar, finished, run):
    said = finished.said["threshold"].stdout
    assert "0 of 3 images (input) are above it" in said
    assert "at most 0.37, with confidence 0.75" in said
    found = json.loads((run / "threshold.json").read_text())
    assert found["rule"] == "defective where score > threshold"
    assert found["fpr_bound"] == pytest.approx(1 - 0.25 ** (1 / 3))
    assert (found["method"], found["target_fpr"], found["step"]) == ("fpr", 0.4, 20)

    results = json.loads((run / "results.json").read_text())
    rows = read_rows(run / "scores.csv")
    scores = np.array([row["score"] for row in rows], np.float32)
    labels = np.array([int(row["label"]) for row in rows])
    assert found["threshold"] == scores[labels == 0].max()
    assert found["checkpoint_sha256"] == results["checkpoint_sha256"]
    stored, oracle = results["thresholds"]["stored"], results["thresholds"]["oracle_f1"]
    assert stored["threshold"] == found["threshold"]
    assert (stored["num_false"], stored["num_good"], stored["num_defective"]) == (0, 3, 4)
    assert stored["num_found"] == np.sum(scores[labels == 1] > found["threshold"])
    assert oracle["f1"] == pytest.approx(results["metrics"]["image_f1_max"])
    assert "threshold oracle_f1" in finished.said["evaluate"].stdout

    # Scores of another blur are other scores; so are those of another state.
    assert_one_sentence(rdvar.evaluate(run, "--config.score.sigma=2"), "threshold.json", "sigma")
    seal_again(run / "threshold.json", checkpoint_sha256="0")
    assert_one_sentence(rdvar.evaluate(run), "threshold.json", "rdvar threshold again")


def test_training_images_promise_nothing(rdvar, run):
    done = threshold(rdvar, run, "--method", "quantile", "--quantile", "0.8")
    assert done.returncode == 0, done.stderr
    assert "these are training images" in done.stderr and "no bound on the" in done.stdout
    found = json.loads((run / "threshold.json").read_text())
    assert (found["split"], found["num_images"], found["num_above"]) == ("train", 10, 2)
    assert found["fpr_bound"] is None and found["confidence"] is None


def test_too_few_images_leave_the_old_file(rdvar, run, toy_root):
    (run / "threshold.json").write_text("old")
    one = toy_root / "tile" / "test" / "good" / "000.png"
    bounded = threshold(rdvar, run, "--input", one, "--confidence", "0.95")
    assert_one_sentence(bounded, "1 good image cannot", "59 images")
    assert (run / "threshold.json").read_text() == "old"
    assert_one_sentence(threshold(rdvar, run, "--target", "1.5"), "--target", "under 1")


def test_images_kept_from_training_are_taken_before_those_trained_on(toy_root):
    config = default_config()
    config.data.root, config.data.category = str(toy_root), "tile"
    assert good_images_of(config, [])[0] == "train"
    config.data.validation = 0.3
    split, images = good_images_of(config, [])
    assert split == "validation" and len(images) == 3
    trained_on = {record.name for record in find_data(config).train}
    assert len(trained_on) == 7 and not trained_on & {image.name for image in images}


def test_equal_scores_are_said(rdvar, run, toy_root, monkeypatch):
    def score_alike(*args):
        scored = score_images(*args)
        return replace(scored, scores=np.ones_like(scored.scores))

    monkeypatch.setattr("rdvar_jax.commands.thresholds.threshold_images.score_images", score_alike)
    good = toy_root / "tile" / "test" / "good"
    done = threshold(rdvar, run, "--input", good, "--target=0.5", "--confidence=0.75")
    assert done.returncode == 0, done.stderr
    assert "all 3 scores are" in done.stderr and "cannot tell parts apart" in done.stderr


def test_images_of_one_name_in_two_folders_are_told_apart(tmp_path):
    for number in range(20):
        path = tmp_path / f"in/{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), (number, 0, 0)).save(path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/00.png").write_text("no image")
    config = default_config()
    config.data.on_error = "skip"
    recipe: Any = SimpleNamespace(config=config, geometry=Geometry("squash", 32, 32))
    trained: Any = SimpleNamespace(
        score=lambda pixels: (pixels[..., 0] + 0.5, pixels[:, 0, 0, 0] / 1.0),
        saved=SimpleNamespace(provenance={}),
    )
    images = find_inputs([tmp_path / "other", tmp_path / "in"])
    scored = score_images(recipe, trained, "input", images)
    assert [image.path for image in scored.images] == sorted((tmp_path / "in").iterdir())
    assert scored.scores.tolist() == list(range(20))
    assert scored.peaks.tolist() == [number + 0.5 for number in range(20)]
