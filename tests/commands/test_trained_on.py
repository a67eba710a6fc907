"""Images that a run was trained on, repeats and outliers, where a bound is promised."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rdvar_process import assert_one_sentence
from resealed import unsealed

from rdvar_jax.commands.thresholds.good_images import name_outliers, score_images

LOOSE = ("--target=0.5", "--confidence=0.75")  # two images are enough
TARGET = ("--target=0.4", "--confidence=0.75")  # as in conftest.py


@pytest.fixture
def run(trained, copy_of) -> Path:
    return copy_of(trained)


@pytest.fixture
def threshold(rdvar, run):
    def call(*args):
        return rdvar.run("threshold", "--workdir", run, *args)

    return call


@pytest.fixture
def given(tmp_path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


def content(run: Path) -> dict:
    return unsealed(run / "threshold.json")


def test_every_run_keeps_what_it_was_trained_on(trained, toy_root):
    found = json.loads((trained / "trained_images.json").read_text())
    assert [one["name"] for one in found["images"]] == [
        f"train/good/{index:03}.png" for index in range(10)
    ]


def test_those_trained_on_do_not_count(finished, run, threshold, given, toy_root):
    good = toy_root / "tile" / "train" / "good"
    assert "trained on" not in finished.said["threshold"].stderr
    alone = content(finished.workdir)
    assert (alone["trained_on"], alone["split"], alone["num_images"]) == ([], "input", 3)

    shutil.copy(good / "003.png", given / "renamed.png")
    with Image.open(good / "005.png") as image:
        image.save(given / "again.bmp")
        image.resize((128, 128), Image.Resampling.BICUBIC).save(given / "large.png")
    done = threshold("--input", given, toy_root / "tile" / "test" / "good", *TARGET)
    assert done.returncode == 0, done.stderr
    assert "trained on 3 of the 6 good images (2 with the same pixels, 1 nearly so" in done.stderr
    assert "again.bmp (the same pixels as train/good/005.png)" in done.stderr
    assert "large.png (nearly the same as train/good/005.png)" in done.stderr
    assert "renamed.png (the same pixels as train/good/003.png); they do not count" in done.stderr
    # As if they had not been given.
    found = content(run)
    assert found.pop("trained_on") == ["again.bmp", "large.png", "renamed.png"]
    assert found == {name: value for name, value in alone.items() if name != "trained_on"}
    assert found["fpr_bound"] == pytest.approx(1 - 0.25 ** (1 / 3))


def test_none_but_those_trained_on_bound_nothing(run, threshold, toy_root):
    done = threshold("--input", toy_root / "tile" / "train" / "good", *LOOSE)
    assert done.returncode == 0, done.stderr
    assert "trained on 10 of the 10 good images" in done.stderr
    assert "so the false-positive rate of new images has no bound" in done.stderr
    assert "give good images that it was not trained on" in done.stderr
    assert "no bound on the false-positive rate" in done.stdout
    found = content(run)
    assert (found["fpr_bound"], found["confidence"], found["split"]) == (None, None, "train")
    assert len(found["trained_on"]) == found["num_images"] == 10


def test_too_few_others_are_said(run, threshold, toy_root):
    (run / "threshold.json").write_text("old")
    inputs = toy_root / "tile" / "train" / "good", toy_root / "tile" / "test" / "good" / "000.png"
    assert_one_sentence(
        threshold("--input", *inputs, "--confidence=0.95"),
        "10 of 11 good images do not count, because this run was trained on them, and 1 good image "
        "cannot guarantee",
        "use 59 images or more",
    )
    assert (run / "threshold.json").read_text() == "old"


@pytest.mark.slow
def test_images_held_out_that_copy_others_do_not_count(rdvar, toy_root, tmp_path):
    """A set may hold one picture twice, one of them in its own validation images."""
    folder = tmp_path / "sets" / "tile"
    shutil.copytree(toy_root / "tile", folder)
    shutil.copytree(folder / "test" / "good", folder / "validation" / "good")
    shutil.copy(folder / "train" / "good" / "001.png", folder / "validation" / "good" / "zz.png")
    root = f"--config.data.root={tmp_path / 'sets'}"
    done = rdvar.train(tmp_path / "run", root, "--config.train.epochs=1")
    assert done.returncode == 0, done.stderr
    done = rdvar.run("threshold", "--workdir", tmp_path / "run", *LOOSE)
    assert done.returncode == 0, done.stderr
    assert "trained on 1 of the 4 good images" in done.stderr
    found = content(tmp_path / "run")
    assert (found["split"], found["num_images"]) == ("validation", 3)
    assert found["trained_on"] == ["validation/good/zz.png"]


def test_one_picture_counts_once_and_an_older_run_cannot_be_checked(
    run, threshold, given, toy_root
):
    (run / "trained_images.json").unlink()
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(toy_root / "tile" / "test" / "good" / "000.png", given / name)
    done = threshold("--input", given, "--method", "quantile")
    assert done.returncode == 0, done.stderr
    assert "2 of the 3 good images repeat the pixels of another one" in done.stderr
    assert "b.png (as a.png), c.png (as a.png)" in done.stderr
    assert content(run)["num_images"] == 1
    assert done.stderr.count("trained_images.json is missing") == 1
    assert "it cannot be checked whether this run was trained on the good images" in done.stderr


def test_the_evaluation_names_test_images_that_were_trained_on(rdvar, run, toy_root, tmp_path):
    folder = tmp_path / "sets" / "tile"
    shutil.copytree(toy_root / "tile", folder)
    shutil.copy(folder / "train" / "good" / "007.png", folder / "test" / "good" / "100.png")
    root = f"--config.data.root={tmp_path / 'sets'}"
    done = rdvar.evaluate(run, root, "--config.report.max_figures=0")
    assert done.returncode == 0, done.stderr
    assert "trained on 1 of the 8 test images (1 with the same pixels, 0 nearly so" in done.stderr
    assert "test/good/100.png (the same pixels as train/good/007.png); metrics" in done.stderr
    assert json.loads((run / "results.json").read_text())["trained_on"] == ["test/good/100.png"]


def test_an_ordinary_evaluation_says_nothing(finished):
    assert "trained on" not in finished.said["evaluate"].stderr
    assert json.loads((finished.workdir / "results.json").read_text())["trained_on"] == []


@pytest.mark.slow
def test_training_again_writes_it_for_a_finished_run(rdvar, run):
    before = (run / "trained_images.json").read_bytes()
    (run / "trained_images.json").write_text("damaged")
    assert_one_sentence(rdvar.evaluate(run), "trained_images.json is damaged", "rdvar train")
    done = rdvar.train(run)
    assert done.returncode == 0 and "nothing to do" in done.stderr
    assert (run / "trained_images.json").read_bytes() == before


def test_an_outlier_is_named_and_left_out(run, threshold, given, toy_root, monkeypatch):
    """A defect among twelve good images takes the threshold up to its own score."""

    def score_a_defect(*args):  # the short run's own scores of defects are not far outside
        scored = score_images(*args)
        factors = [3 if image.name == "a[1].png" else 1 for image in scored.images]
        return replace(scored, scores=scored.scores * np.array(factors, np.float32))

    monkeypatch.setattr(
        "rdvar_jax.commands.thresholds.threshold_images.score_images", score_a_defect
    )
    rng = np.random.default_rng(1)
    for index, phase in enumerate(np.linspace(0, 6, 12)):
        wave = np.sin(np.arange(64) * 0.7 + phase)[None, :, None] * 60 + 120
        pixels = np.clip(wave + rng.normal(0, 8, (64, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(given / f"part_{index:02}.png")
    quantile = ("--method=quantile", "--quantile=1")
    shutil.copy(toy_root / "tile" / "test" / "spot" / "001.png", given / "a[1].png")
    done = threshold("--input", given, *quantile)
    assert done.returncode == 0, done.stderr
    raised = content(run)
    assert [one["name"] for one in raised["outliers"]] == ["a[1].png"]
    assert raised["outliers"][0]["score"] == raised["threshold"]
    assert "1 of the 13 good images score far above the others" in done.stderr
    assert f"a[1].png {raised['threshold']:.6g}; look at them" in done.stderr

    done = threshold("--input", given, *quantile, "--exclude", "a[1].png")
    assert done.returncode == 0, done.stderr
    assert "excluded 1: a[1].png\n" in done.stdout
    found = content(run)
    assert (found["excluded"], found["num_images"]) == (["a[1].png"], 12)
    assert found["outliers"] == [] and "far above the others" not in done.stderr
    assert found["threshold"] < raised["threshold"] / 2
    wrong = threshold("--input", given, "--exclude", "part_1.png")
    assert_one_sentence(wrong, "--exclude part_1.png matches none of the 13", "part_11.png")


def test_an_outlier_has_its_name_and_score():
    scores = np.array([1, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.03, 0.97, 1.01, 9], np.float32)
    names = [f"{i}.png" for i in range(11)]
    assert name_outliers(names, scores) == [{"name": "10.png", "score": 9.0}]
