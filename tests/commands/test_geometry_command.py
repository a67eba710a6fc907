"""Runs on images that are not square, with their aspect kept, from the command line."""

import csv
import json

import numpy as np
import pytest
from rdvar_process import assert_one_sentence


@pytest.mark.parametrize("geometry", ["pad", pytest.param("crop", marks=pytest.mark.slow)])
def test_train_evaluate_predict(rdvar, toy_root, tmp_path, geometry):
    workdir, output = tmp_path / "run", tmp_path / "out"
    settings = ("--config.data.image_size=32,64", f"--config.data.geometry={geometry}")
    done = rdvar.train(workdir, *settings, "--config.train.epochs=2")
    assert done.returncode == 0, done.stderr
    assert "10 images of 64x32" in done.stderr
    data = json.loads((workdir / "config.json").read_text())["data"]
    assert (data["image_size"], data["geometry"]) == ([32, 64], geometry)

    done = rdvar.evaluate(workdir)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((workdir / "results.json").read_text())["metrics"]
    assert all(0 <= value <= 1 for value in metrics.values())
    assert (workdir / "figures" / "overview.png").is_file()

    inputs = toy_root / "tile" / "test"
    done = rdvar.run(
        *("predict", "--workdir", workdir, "--output", output, "--input", inputs, "--save_maps")
    )
    assert done.returncode == 0, done.stderr
    raw = np.load(output / "maps" / "spot" / "000.npy")
    assert raw.shape == (32, 64)
    with (output / "scores.csv").open() as file:
        scores = {row["path"]: np.float32(row["score"]) for row in csv.DictReader(file)}
    assert scores["spot/000.png"] == raw.max()

    assert_one_sentence(
        rdvar.evaluate(workdir, "--config.data.image_size=64"), "image_size was [32, 64], now 64"
    )
