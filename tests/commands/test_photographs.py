"""`rdvar train PHOTOS`: from a folder to a threshold and a page, and on again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rdvar_process import SMALL, assert_one_sentence
from run_files import read_rows

from rdvar_jax import ReverseDistillation, Run, fit, score
from rdvar_jax.commands.planning import plan
from rdvar_jax.data.pixels.decode import decode_images
from rdvar_jax.data.sets.photos import find_photos
from rdvar_jax.runs.fold_scores import FoldFiles
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.folds import split_folds

TINY = (
    *(one for one in SMALL if "epochs" not in one),
    *("--config.teacher.arch=resnet18", "--config.teacher.weights=random"),
    *("--config.train.epochs=4", "--config.train.folds=2"),
)


@pytest.fixture
def photos(toy_root, tmp_path) -> Path:
    """Good photographs under awkward names, and defects in folders of their kinds."""
    folder = tmp_path / "my photos"
    for index, path in enumerate(sorted((toy_root / "tile" / "train" / "good").iterdir())):
        target = folder / "good" / f"=shift {index % 2} [é]" / f"#{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copytree(toy_root / "tile" / "test" / "spot", folder / "bad" / "spot")
    return folder


@pytest.fixture
def probed(monkeypatch):
    monkeypatch.setattr(plan, "probe_speed", lambda: 1e6)
    monkeypatch.setattr(plan, "probe_step", lambda config: 0.01)


def test_two_commands_to_verdicts(rdvar, photos, probed, tmp_path):
    workdir = tmp_path / "W"
    command = ("train", photos / "good", "--bad", photos / "bad", "--workdir", workdir, *TINY)
    done = rdvar.run(*command)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "10 good photographs of 64x64 pixels, RGB; 4 known defects of 1 kind\n" in said
    assert "plan: ResNet-18, 32x32 px, 4 epochs, 2 folds, about" in said
    assert "permit a threshold that on average 9.1 %" in said
    assert "of 4 known defects; " in said and "image AUROC" in said and "report.html" in said
    assert (workdir / "report.html").exists()
    config = json.loads((workdir / "config.json").read_text())
    assert config["data"]["good"] == [str(photos / "good")] and config["train"]["folds"] == 2

    threshold = json.loads((workdir / "threshold.json").read_text())
    kept = json.loads((workdir / "good_scores.json").read_text())
    assert (threshold["split"], threshold["method"]) == ("folds", "mean")
    # Ten images cannot reach 5 %: the highest score, which a new one exceeds once in eleven.
    assert threshold["threshold"] == pytest.approx(max(kept["scores"]))
    assert threshold["mean_rate"] == pytest.approx(1 / 11)
    rows = {row["path"]: row["score"] for row in read_rows(workdir / "scores.csv")}
    assert len(rows) == 14 and sum(name.startswith("bad/spot/") for name in rows) == 4
    for name, value in zip(kept["names"], kept["scores"], strict=True):
        assert float(rows[name]) == pytest.approx(value, rel=1e-6)

    # Once more: nothing is trained, planned or scored by folds again, and the results stay.
    before = (workdir / "good_scores.json").read_bytes(), (workdir / "threshold.json").read_bytes()
    again = rdvar.run(*command)
    assert again.returncode == 0, again.stderr
    assert "goes on with the plan" in again.stdout and "nothing to do" in again.stderr
    assert "fold 1" not in again.stderr
    assert before == tuple(
        (workdir / name).read_bytes() for name in ("good_scores.json", "threshold.json")
    )
    cost = rdvar.run("threshold", "--workdir", workdir, "--cost_missed", "10")
    assert "of 4 defective images found" in cost.stdout, cost.stderr
    assert "chosen with these labels" in cost.stdout


@pytest.mark.slow  # trains each fold again, with a step compiled for its own number of images
def test_no_image_is_scored_by_a_network_that_saw_it(rdvar, photos, probed, tmp_path):
    workdir = tmp_path / "W"
    done = rdvar.run("train", photos / "good", "--workdir", workdir, *TINY)
    assert done.returncode == 0, done.stderr
    kept = json.loads((workdir / "good_scores.json").read_text())
    records = find_photos([photos / "good"]).train
    names = [record.name for record in records]
    assert kept["names"] == names
    images = decode_images(records, 32, progress=False)
    model = ReverseDistillation("resnet18", weights="random", stem_width=4)
    by_final = Run.open(workdir).load_scorer().score(images)[1]
    files = FoldFiles(Workdir(workdir), kept["folds_sha256"])
    for index, rows in enumerate(split_folds(kept["images_sha256"], 2, 0)):
        others = np.delete(np.arange(len(names)), rows)
        settings = {"epochs": 4, "batch_size": 4, "precision": "tf32", "progress": False}
        fitted = fit(model, images[others], devices=_one_device(), **settings)
        alone = score(fitted, images[list(rows)], batch_size=4, devices=_one_device())[1]
        fold = files.read(index)
        assert fold is not None and fold.rows == rows
        np.testing.assert_allclose(fold.scores, alone, rtol=1e-3)
        # The final one's own scores say by how much the excess is to be multiplied.
        own = by_final[list(rows)]
        excess = fold.scores + np.float32(kept["shifts"][index]) - own
        found = np.array(kept["scores"], np.float32)[list(rows)]
        expected = own + excess * kept["factor"]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def _one_device():
    import jax

    return jax.local_devices()[:1]


@pytest.mark.slow  # three trainings
def test_a_killed_fold_is_trained_again_and_finished_ones_are_kept(
    rdvar, photos, probed, tmp_path, monkeypatch
):
    workdir = tmp_path / "W"
    command = ("train", photos / "good", "--workdir", workdir, *TINY)
    from rdvar_jax.commands.thresholds import folds

    score_fold, calls = folds.score_fold, []

    def killed_at_the_second(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score_fold(*args, **options)

    monkeypatch.setattr(folds, "score_fold", killed_at_the_second)
    assert rdvar.run(*command).returncode == 130
    assert sorted(path.name for path in (workdir / "folds").iterdir()) == ["fold_1.npz"]
    kept = (workdir / "folds" / "fold_1.npz").read_bytes()
    assert rdvar.run(*command).returncode == 0
    assert len(calls) == 3 and (workdir / "folds" / "fold_1.npz").read_bytes() == kept

    # A damaged one is trained again, with a warning, and leads to the same scores.
    before = (workdir / "good_scores.json").read_bytes()
    (workdir / "good_scores.json").unlink()
    (workdir / "folds" / "fold_2.npz").write_bytes(kept[:1000])
    again = rdvar.run(*command)
    assert "fold_2.npz is damaged" in again.stderr and len(calls) == 4
    assert (workdir / "good_scores.json").read_bytes() == before

    # Known defects that are given later are tested, and nothing is trained again.
    tested = rdvar.run(*command, "--bad", photos / "bad")
    assert "of 4 known defects" in tested.stdout and len(calls) == 4, tested.stderr
    config = json.loads((workdir / "config.json").read_text())
    assert config["data"]["bad"] == [str(photos / "bad")] and config["train"]["epochs"] == 4
    assert (workdir / "good_scores.json").read_bytes() == before

    shutil.rmtree(workdir / "folds")
    assert_one_sentence(
        rdvar.evaluate(workdir), "good_scores.json has lost the maps", "rdvar train"
    )
    other = rdvar.run("threshold", "--workdir", workdir, "--config.score.sigma=2")
    assert_one_sentence(other, "good_scores.json was made with the settings", "--input")
    (photos / "good" / "new.png").write_bytes(
        next((photos / "good").rglob("*.png")).read_bytes()[:40] + b"damaged"
    )
    assert_one_sentence(rdvar.run(*command), "new.png")


@pytest.mark.slow  # a training
def test_labelled_images_are_trained_and_tested_on(rdvar, photos, probed, tmp_path):
    labelled, workdir = tmp_path / "feedback" / "part", tmp_path / "W"
    names = sorted(path.name for path in (photos / "good").rglob("*.png"))
    shutil.copytree(photos / "bad" / "spot", labelled / "defective")
    (labelled / "good").mkdir()
    for path in sorted((photos / "good").rglob("*.png"))[:4]:
        shutil.move(path, labelled / "good" / path.name)
    command = ("train", photos / "good", "--from_feedback", labelled, "--workdir", workdir, *TINY)
    done = rdvar.run(*command)
    assert done.returncode == 0, done.stderr
    assert "10 good photographs of 64x64 pixels, RGB; 4 known defects of 1 kind\n" in done.stdout
    kept = json.loads((workdir / "good_scores.json").read_text())
    assert sorted(Path(name).name for name in kept["names"]) == names
    refused = rdvar.run("train", "--from_feedback", labelled.parent, "--workdir", tmp_path / "X")
    assert_one_sentence(refused, "give one of them, such as")


def test_what_cannot_be_trained_on_is_one_sentence(rdvar, photos, tmp_path):
    run = ("--workdir", tmp_path / "W")
    assert_one_sentence(rdvar.run("train", *run), "nothing to train on")
    both = rdvar.run("train", photos / "good", "--config", "smoke", *run)
    assert_one_sentence(both, "--config and photographs are both given")
    few = tmp_path / "few"
    few.mkdir()
    Image.new("RGB", (32, 32)).save(few / "a.png")
    assert_one_sentence(
        rdvar.run("train", few, *run), "1 readable good photographs are too few", "4 or more"
    )
    inside = rdvar.run("train", photos, *run)
    assert_one_sentence(inside, "--bad")
    missing = rdvar.run("train", tmp_path / "none", *run)
    assert_one_sentence(missing, "none does not exist")
    never = rdvar.run("train", photos / "good", "--minutes", "0", *run)
    assert_one_sentence(never, "--minutes 0 must be over 0")
    assert not (tmp_path / "W" / "config.json").exists()
