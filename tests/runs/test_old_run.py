"""A run that rdvar_jax 0.1.0 trained, thresholded and exported, in this version's hands.

`run_of_0_1_0.zip` was made at commit 996fe65, of the toy category (tests/conftest.py) with 32 px,
a stem of 2 channels and 4 epochs, and holds what that version found (`expected.json`).
"""

import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from rdvar_jax import Detector
from rdvar_jax.commands.evaluate import evaluate
from rdvar_jax.commands.train import train
from rdvar_jax.runs.config import resolved
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.threshold_file import read_threshold
from rdvar_jax.runs.workdir import Workdir, load_config

ARCHIVE = Path(__file__).parent / "run_of_0_1_0.zip"


@pytest.fixture
def old(tmp_path) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def expected(old) -> dict:
    return json.loads((old / "expected.json").read_text())


def config_of(old: Path, toy_root: Path):
    config = load_config(Workdir(old / "run"))
    config.data.root = str(toy_root)
    config.parallel.num_devices = 1
    return resolved(config)


def test_it_is_evaluated_with_the_same_numbers(old, expected, toy_root):
    workdir = Workdir(old / "run")
    results = evaluate(config_of(old, toy_root), workdir)
    assert results["metrics"] == pytest.approx(expected["metrics"], abs=1e-4)
    assert results["thresholds"]["stored"]["threshold"] == expected["threshold"]
    rows = [line.split(",") for line in workdir.scores("latest").read_text().splitlines()[1:]]
    scores = {row[0]: float(row[-1]) for row in rows}
    assert scores == pytest.approx(expected["scores"], rel=1e-5)


def test_it_is_trained_on_to_the_same_parameters(old, expected, toy_root):
    config = config_of(old, toy_root)
    config.train.epochs = 6
    fitted = train(config, old / "run")
    losses = [line["loss"] for line in fitted.losses]
    assert losses == pytest.approx(expected["losses_of_six_epochs"][4:], rel=1e-4)
    sums = {
        jax.tree_util.keystr(path): float(np.abs(np.asarray(x, np.float64)).sum())
        for path, x in jax.tree_util.tree_leaves_with_path(fitted.state.params)
    }
    # Adam turns rounding of near-zero gradients into whole steps of 0.005 on other processors.
    assert sums == pytest.approx(
        expected["sums_of_parameters_after_six_epochs"], rel=0.02, abs=0.05
    )


def test_its_threshold_and_bundle_are_read(old, expected, toy_root):
    run = Run.open(old / "run")
    found = read_threshold(run.config, run.workdir, "latest", run.load().saved)
    assert found is not None and found["threshold"] == expected["threshold"]
    paths = sorted((toy_root / "tile" / "test").rglob("*.png"))
    predicted = Detector.load(old / "part.rdvar").predict(paths)
    assert predicted.scores == pytest.approx(expected["bundle_scores"], rel=1e-5)
    assert predicted.verdicts.tolist() == expected["bundle_verdicts"]
