"""Runs on images that are not square, with their aspect kept, from the command line."""

import json

import numpy as np
import pytest
from PIL import Image
from rdvar_process import assert_one_sentence
from run_files import read_scores


@pytest.mark.slow
def test_train_evaluate_predict(rdvar, toy_root, tmp_path):
    workdir, output = tmp_path / "run", tmp_path / "out"
    settings = ("--config.data.image_size=32,64", "--config.data.geometry=pad")
    done = rdvar.train(workdir, *settings, "--config.train.epochs=2")
    assert done.returncode == 0, done.stderr
    assert "10 images of 64x32" in done.stderr
    data = json.loads((workdir / "config.json").read_text())["data"]
    assert (data["image_size"], data["geometry"]) == ([32, 64], "pad")

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
    assert read_scores(output / "scores.csv")["spot/000.png"] == raw.max()
    done = rdvar.run(
        *("predict", "--workdir", workdir, "--output", tmp_path / "own", "--input", inputs),
        *("--save_maps", "--map_size", "original", "--noheat_maps"),
    )
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "own" / "maps" / "spot" / "000.npy").shape == (64, 64)

    assert_one_sentence(
        rdvar.evaluate(workdir, "--config.data.image_size=64"), "image_size was [32, 64], now 64"
    )


@pytest.mark.slow
def test_tiles(rdvar, toy_root, tmp_path):
    """Images of 64 x 64 in tiles of 32 x 64: trained on tiles, scored and shown whole."""
    workdir, output = tmp_path / "run", tmp_path / "out"
    settings = ("--config.data.image_size=32,64", "--config.data.geometry=tile")
    done = rdvar.train(workdir, *settings, "--config.train.epochs=1")
    assert done.returncode == 0, done.stderr
    assert "30 tiles of 64x32" in done.stderr

    done = rdvar.evaluate(workdir)
    assert done.returncode == 0, done.stderr
    results = json.loads((workdir / "results.json").read_text())
    assert all(0 <= value <= 1 for value in results["metrics"].values())

    # Any size of at least a tile; the whole of a test image among them.
    inputs = tmp_path / "in"
    inputs.mkdir()
    image = Image.open(toy_root / "tile" / "test" / "spot" / "000.png")
    image.save(inputs / "same.png")
    image.resize((100, 37)).save(inputs / "other.png")
    done = rdvar.run(
        *("predict", "--workdir", workdir, "--output", output, "--input", inputs, "--save_maps")
    )
    assert done.returncode == 0, done.stderr
    assert np.load(output / "maps" / "other.npy").shape == (37, 100)
    raw = np.load(output / "maps" / "same.npy")
    assert raw.shape == (64, 64)
    assert read_scores(output / "scores.csv")["same.png"] == raw.max()
    assert read_scores(workdir / "scores.csv")["test/spot/000.png"] == raw.max()

    image.resize((31, 64)).save(inputs / "small.png")
    done = rdvar.run("predict", "--workdir", workdir, "--output", tmp_path / "2", "--input", inputs)
    assert_one_sentence(done, "small.png has 31x64 pixels, fewer than a tile of 64x32")
    done = rdvar.run("export", "--workdir", workdir, "--output", tmp_path / "part.rdvar")
    assert_one_sentence(done, "data.geometry=tile cannot be exported; only squash, crop, pad can")
