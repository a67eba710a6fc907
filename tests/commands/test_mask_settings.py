"""`data.mask_threshold` in a run: what was decided is kept, and undefined metrics have a reason."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax import load_category


@pytest.fixture
def classes(toy_root, tmp_path) -> Path:
    """The toy set with masks of class numbers 1 and 2 in place of white."""
    shutil.copytree(toy_root, tmp_path / "classes")
    for index, path in enumerate((tmp_path / "classes/tile/ground_truth").rglob("*.png")):
        with Image.open(path) as image:
            mask = np.asarray(image) // 255 * (1 + index % 2)
        Image.fromarray(mask.astype(np.uint8)).save(path)
    return tmp_path / "classes"


def test_class_numbers_give_the_metrics_of_white_masks(rdvar, finished, classes, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished.workdir, workdir)
    before = json.loads((workdir / "results.json").read_text())
    assert (before["mask_threshold"], before["undefined"]) == ("half", {})
    settings = (f"--config.data.root={classes}", "--config.report.max_figures=0")
    done = rdvar.evaluate(workdir, *settings)
    assert done.returncode == 0 and "undefined" not in done.stdout + done.stderr
    results = json.loads((workdir / "results.json").read_text())
    assert results["mask_threshold"] == 1
    assert results["metrics"] == before["metrics"]
    assert json.loads((workdir / "evaluation.json").read_text())["settings"][
        "data.mask_threshold"
    ] == "auto"  # fmt: skip

    done = rdvar.evaluate(workdir, *settings, "--config.data.mask_threshold=half")
    reason = (
        "no mask marks a pixel at data.mask_threshold=half: the highest value is 2; set "
        "data.mask_threshold=any"
    )
    assert done.returncode == 0
    assert done.stderr.count(f"pixel metrics are undefined, because {reason}") == 1
    assert "is empty once it is resized" not in done.stderr
    results = json.loads((workdir / "results.json").read_text())
    assert results["undefined"] == {"pixel": reason}
    assert results["metrics"]["pixel_auroc"] is None
    assert results["metrics"]["image_auroc"] == before["metrics"]["image_auroc"]
    assert rdvar.run("report", "--workdir", workdir).returncode == 0
    page = (workdir / "report.html").read_text()
    assert f"No pixel metrics, since {reason}." in page


def test_the_library_decides_alike(classes, toy_root, caplog):
    caplog.set_level("INFO", "rdvar_jax")
    white = load_category(toy_root / "tile", image_size=64, progress=False).test
    test = load_category(classes / "tile", image_size=64, progress=False).test
    assert (white.mask_threshold, test.mask_threshold) == ("half", 1)
    np.testing.assert_array_equal(test.masks, white.masks)
    assert test.undefined == {}
    assert [one.getMessage() for one in caplog.records] == [
        "tile: the masks hold 0, 1, 2: values of 1 or more are defective (data.mask_threshold=auto)"
    ]
    caplog.clear()
    half = load_category(classes / "tile", image_size=64, mask_threshold="half", progress=False)
    assert "the highest value is 2; set data.mask_threshold=any" in half.test.undefined["pixel"]
    assert len(caplog.records) == 1


def test_masks_that_mark_everything_or_vanish_have_a_reason(toy_root, tmp_path):
    shutil.copytree(toy_root, tmp_path / "root")
    masks = sorted((tmp_path / "root/tile/ground_truth").rglob("*.png"))
    for path in masks:
        dot = Image.new("L", (64, 64))
        dot.putpixel((3, 3), 255)
        dot.save(path)
    found = load_category(tmp_path / "root/tile", image_size=32, progress=False).test
    assert found.undefined == {"pixel": "no mask marks a pixel once it is resized"}
