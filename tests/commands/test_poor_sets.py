"""Sets without test images, defects or masks, from training to prediction, on read-only data."""

import json
import shutil
from pathlib import Path

import pytest
from rdvar_process import assert_one_sentence
from run_files import read_rows


def lock(folder: Path, locked: bool) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod((0o555 if locked else 0o755) if path.is_dir() else 0o444)


def state(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.mark.slow
def test_from_good_images_alone_to_a_set_without_masks(rdvar, toy_root, tmp_path):
    part, workdir, output = tmp_path / "data" / "tile", tmp_path / "run", tmp_path / "out"
    shutil.copytree(toy_root / "tile" / "train" / "good", part)

    def run(command: str, *args):
        """On data that cannot be written, in a process for root's powers; all stays as it was."""
        lock(tmp_path / "data", True)
        before = state(tmp_path / "data")
        done = rdvar.process(command, "--workdir", workdir, *args, root_powers=False)
        assert state(tmp_path / "data") == before
        lock(tmp_path / "data", False)
        return done

    def evaluate() -> tuple[dict, str]:
        done = run("evaluate")
        assert done.returncode == 0, done.stderr
        return json.loads((workdir / "results.json").read_text()), done.stderr + done.stdout

    # Good images alone: a run, a threshold and scores, and no evaluation.
    command, *settings = rdvar.train_args(workdir, f"--config.data.root={tmp_path / 'data'}")
    done = run(command, *settings, "--config.train.epochs=1")
    assert done.returncode == 0, done.stderr
    assert_one_sentence(run("evaluate"), "tile has no test images", "add some", "rdvar predict")
    done = run("threshold", "--method=quantile", "--quantile=0.8")
    assert done.returncode == 0, done.stderr
    assert json.loads((workdir / "threshold.json").read_text())["num_images"] == 10
    done = run("predict", "--input", part, "--output", output, "--noheat_maps")
    assert done.returncode == 0, done.stderr
    assert [row["path"] for row in read_rows(output / "scores.csv")] == [
        f"00{index}.png" for index in range(10)
    ]

    # Test images without labels: scores.
    shutil.copytree(toy_root / "tile" / "test" / "good", part / "test")
    results, words = evaluate()
    assert set(results["metrics"].values()) == {None}
    assert "image metrics are undefined, because the test images have no labels" in words
    assert [row["label"] for row in read_rows(workdir / "scores.csv")] == [""] * 3
    assert results["thresholds"] == {"stored": None, "oracle_f1": None}

    # Good ones alone: scores, and what the threshold does with them.
    shutil.rmtree(part / "test")
    shutil.copytree(toy_root / "tile" / "test" / "good", part / "test" / "good")
    results, words = evaluate()
    assert results["metrics"]["image_auroc"] is None and "image_auroc            undefined" in words
    assert "image metrics are undefined, because there is no defective test image" in words
    assert [row["label"] for row in read_rows(workdir / "scores.csv")] == ["0"] * 3
    stored = results["thresholds"]["stored"]
    assert (stored["num_good"], stored["num_defective"]) == (3, 0)

    # Defective ones too, without masks: image metrics.
    shutil.copytree(toy_root / "tile" / "test" / "spot", part / "test" / "spot")
    results, words = evaluate()
    assert 0 <= results["metrics"]["image_auroc"] <= 1
    assert results["metrics"]["pixel_auroc"] is results["metrics"]["aupro"] is None
    assert results["undefined"] == {"pixel": "the set has no masks"}
    assert "pixel metrics are undefined, because the set has no masks" in words
    assert list((workdir / "figures").iterdir())
