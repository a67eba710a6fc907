"""Train and evaluate from the command line, and what they leave behind."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
from PIL import Image
from run_files import metrics_lines, read_rows
from sklearn.metrics import roc_auc_score

from rdvar_jax.cli.main import main
from rdvar_jax.data.sets.folder import find_category, list_categories
from rdvar_jax.synthetic import generate
from rdvar_jax.version import __version__


def test_training_leaves_config_metrics_checkpoints_and_teacher(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["train"]["epochs"] == 8
    assert config["data"]["root"].startswith("/")  # evaluation may start in another folder
    epochs = [line for line in metrics_lines(trained) if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert epochs[-1]["loss"] < 0.8 * epochs[0]["loss"]
    assert (trained / "teacher.safetensors").is_file()
    assert (trained / "checkpoints" / "20" / "manifest.json").is_file()


def test_results_hold_every_metric_and_where_they_come_from(finished):
    results = json.loads((finished.workdir / "results.json").read_text())
    metrics = results["metrics"]
    assert set(metrics) >= {
        "image_auroc",
        "pixel_auroc",
        "aupro",
        "image_ap",
        "pixel_ap",
        "image_f1_max",
        "pixel_f1_max",
        "pro_rd4ad_per_image",
    }
    assert all(0 <= value <= 1 for value in metrics.values())
    assert (results["epoch"], results["step"], results["seed"]) == (8, 20, 0)
    assert results["versions"]["rdvar_jax"] == __version__
    assert len(results["teacher"]["sha256"]) == 64
    assert results["teacher"]["unverified"] is None
    assert results["chosen_by"] == "last step"
    for name, value in metrics.items():
        assert f"{name:22s} {value:.4f}" in finished.said["evaluate"].stdout


def test_scores_are_one_row_an_image(evaluated):
    rows = read_rows(evaluated / "scores.csv")
    assert list(rows[0]) == ["path", "label", "defect", "score"]
    assert [row["path"] for row in rows] == [
        *(f"test/good/00{i}.png" for i in range(3)),
        *(f"test/spot/00{i}.png" for i in range(4)),
    ]
    labels = [int(row["label"]) for row in rows]
    assert labels == [0, 0, 0, 1, 1, 1, 1]
    auroc = roc_auc_score(labels, [float(row["score"]) for row in rows])
    results = json.loads((evaluated / "results.json").read_text())
    assert results["metrics"]["image_auroc"] == pytest.approx(auroc, abs=1e-12)


def test_figures_are_pictures(evaluated):
    names = sorted(path.name for path in (evaluated / "figures").iterdir())
    assert len([name for name in names if name[0].isdigit()]) == 7
    assert {"worst.png", "overview.png"} <= set(names)
    for name in names:
        with Image.open(evaluated / "figures" / name) as image:
            assert min(image.size) >= 256


def test_a_finished_run_has_nothing_to_do(rdvar, trained, copy_of):
    workdir = copy_of(trained)
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    done = rdvar.train(workdir, "--config.train.epochs=3")  # the last setting counts
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


def test_the_workdir_can_be_moved_and_data_too(rdvar, evaluated, toy_root, tmp_path):
    shutil.copytree(evaluated, tmp_path / "moved")
    shutil.copytree(toy_root, tmp_path / "data")
    (tmp_path / "moved" / "results.json").unlink()
    settings = (f"--config.data.root={tmp_path / 'data'}", "--config.report.max_figures=1")
    done = rdvar.evaluate(tmp_path / "moved", *settings)
    assert done.returncode == 0, done.stderr
    before, after = (
        json.loads((folder / "results.json").read_text())["metrics"]
        for folder in (evaluated, tmp_path / "moved")
    )
    assert before == after


def test_the_best_checkpoint_has_names_of_its_own(rdvar, evaluated, copy_of):
    workdir = copy_of(evaluated)
    latest = (workdir / "results.json").read_bytes()
    done = rdvar.evaluate(workdir, "--checkpoint", "best", "--config.report.max_figures=1")
    assert done.returncode == 0, done.stderr
    best = json.loads((workdir / "results_best.json").read_text())
    assert best["chosen_by"] == "train_loss"
    assert (workdir / "scores_best.csv").is_file()
    assert (workdir / "results.json").read_bytes() == latest


def test_evaluation_in_training_and_shard_map(rdvar, tmp_path):
    done = rdvar.train(
        tmp_path / "run",
        "--config.train.epochs=2",
        "--config.train.evaluate_every_epochs=1",
        "--config.train.best_metric=oracle_image_auroc",
        "--config.data.validation=0.2",
        "--config.parallel.mode=shard_map",
    )
    assert done.returncode == 0, done.stderr
    assert "tile: 8 images" in done.stderr  # of 10
    lines = metrics_lines(tmp_path / "run")
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    assert [line["epoch"] for line in evaluations] == [1, 2]
    done = rdvar.evaluate(tmp_path / "run", "--config.report.max_figures=1")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    # The same scoring code, on the same state.
    assert results["metrics"]["image_auroc"] == evaluations[-1]["image_auroc"]
    assert results["metrics"]["aupro"] == pytest.approx(evaluations[-1]["aupro"], abs=1e-6)


def test_prepare_draws_a_data_set_that_can_be_read(rdvar, tmp_path, monkeypatch):
    assert inspect.signature(generate).parameters["num_train"].default == 120
    few = partial(generate, num_train=5, num_test_good=1, num_per_defect=1)
    monkeypatch.setattr("rdvar_jax.commands.prepare.generate", few)
    root = tmp_path / "drawn"
    done = rdvar.run("prepare", "--source=synthetic", "--output", root, "--size=32")
    assert done.returncode == 0, done.stderr
    names = list_categories(root)
    assert len(names) >= 4
    assert all(name in done.stdout for name in names)
    assert all(len(find_category(root, name).train) == 5 for name in names)
    again = rdvar.run("prepare", "--source=synthetic", "--output", root, "--size=64")
    assert again.returncode == 2
    assert str(root) in again.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fly"], "unknown command 'fly'"),
        (["train"], "--workdir is missing"),
        (["evaluate"], "--workdir is missing"),
        (["predict"], "--workdir is missing"),
        (["prepare"], "--source is missing"),
        (["prepare", "--source=photos"], "--source"),
        (["train", "--speed=3"], "unknown flag --speed"),
    ],
)
def test_wrong_arguments_are_one_sentence(args, message, capsys, monkeypatch):
    monkeypatch.setattr("rdvar_jax.cli.main.start_logging", lambda: None)
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith("rdvar: ")
    assert message in error


def test_even_the_smallest_program_is_kept_for_the_next_start(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    environment["RDVAR_CACHE"] = str(tmp_path)
    code = "from rdvar_jax.cli.start import start_jax; start_jax()\nimport jax; jax.jit(abs)(1.0)"
    # A process: JAX settles on one cache when it compiles first.
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list((tmp_path / "xla").iterdir())


def test_ctrl_c_is_one_sentence(monkeypatch, capsys):
    def interrupted(args, settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("rdvar_jax.cli.main.start_logging", lambda: None)
    monkeypatch.setattr("rdvar_jax.cli.report.run", interrupted)
    assert main(["report", "--workdir", "W"]) == 130
    assert capsys.readouterr().err == ("rdvar: stopped by Ctrl-C; files saved before are intact\n")


def test_a_teacher_for_demonstrations_says_so_in_training_and_evaluation(finished):
    for name in ("train", "evaluate"):
        assert finished.said[name].stderr.count("for tests and demonstrations only") == 1
    assert "demonstrations" not in finished.said["threshold"].stderr
