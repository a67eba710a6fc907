"""Whole sweeps as a user starts them: finished, failed, stopped and killed."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from reproduce_process import REPOSITORY, SMALL

TABLE1 = ("--experiment", "table1", "--seeds", "0,1", "--epochs", "3", "--probe_steps=0")


def run_folders(output: Path) -> list[Path]:
    return sorted(path for path in (output / "runs").iterdir() if path.is_dir())


def events(folder: Path, event: str) -> list[dict]:
    lines = map(json.loads, (folder / "attempts.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def contents(output: Path) -> dict[str, bytes]:
    """The files that must not depend on when and how often the sweep was stopped."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for name in ("result.json", "examples.npz")
        for path in output.glob(f"runs/*/{name}")
    }


@pytest.fixture(scope="module")
def whole(reproduce, tmp_path_factory):
    """A sweep that nobody disturbed."""
    output = tmp_path_factory.mktemp("whole") / "results"
    done = reproduce.run(output, *TABLE1, "--oracle_every=1", "--random_weights")
    assert done.returncode == 0, done.stderr
    return output, done


@pytest.mark.slow
def test_a_sweep_writes_everything(whole):
    output, done = whole
    assert "table1: 4 runs (2 variants x 1 categories x 2 seeds)" in done.stdout
    assert "4 different runs, 0 finished, 4 to do" in done.stdout
    folder = output / "table1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "categories.png",
        "environment.json",
        "losses.png",
        "plan.json",
        "report.json",
        "runs.csv",
        "runs.jsonl",
        "table.csv",
        "table.md",
    ]
    for text in (folder / "table.md", output / "index.html"):
        assert "RANDOM WEIGHTS" in text.read_text()
    assert "RANDOM WEIGHTS" in done.stdout
    runs = run_folders(output)
    assert len(runs) == 4
    for run in runs:
        result = json.loads((run / "result.json").read_text())
        assert result["address"] == run.name and result["teacher"] == "random"
        assert result["oracle"]["num_evaluations"] == 3
        collapse = result["collapse"]
        assert collapse["loss_var"] == result["epochs"][-1]["loss_var"] and collapse["spread"] > 0
        assert collapse["num_images"] == 3 and 1 <= collapse["effective_rank"] <= 2
        assert collapse["teacher_spread"] > 0
        assert result["oracle"]["image_auroc"] >= result["metrics"]["image_auroc"]
        assert [line["epoch"] for line in result["epochs"]] == [1, 2, 3]
        assert json.loads((run / "timing.json").read_text())["seconds_per_step"] > 0
        # States are not kept.
        assert not (run / "workdir" / "checkpoints").exists()
        with np.load(run / "examples.npz") as examples:
            assert list(examples["names"]) == ["test/spot/000.png"]
            assert examples["maps"].shape == examples["masks"].shape == (1, 32, 32)
    seeds = {json.loads((run / "result.json").read_text())["seed"] for run in runs}
    assert seeds == {0, 1}


@pytest.mark.slow
def test_a_run_is_what_rdvar_would_give(whole, reproduce, tmp_path):
    """The metrics of `rdvar train` and `rdvar evaluate` with the settings of one run."""
    output, _ = whole
    result = json.loads((run_folders(output)[0] / "result.json").read_text())
    config = json.loads((output / "runs" / result["address"] / "workdir/config.json").read_text())
    settings = [
        f"--config.{section}.{name}={value}"
        for section, name in (("loss", "lambda_var"), ("train", "seed"), ("train", "epochs"))
        for value in [config[section][name]]
    ]
    python = reproduce.command(output)[0]
    smoke = f"{REPOSITORY / 'configs' / 'smoke.py'}:tile"
    words = ("train", "--config", smoke, f"--config.data.root={reproduce.root}", *SMALL, *settings)
    for command in ((*words, "--workdir", "w"), ("evaluate", "--workdir", "w")):
        subprocess.run(
            [python, "-m", "rdvar_jax", *command],
            cwd=tmp_path,
            env=reproduce.environment,
            check=True,
            capture_output=True,
        )
    expected = json.loads((tmp_path / "w" / "results.json").read_text())
    assert result["metrics"] == expected["metrics"]


@pytest.mark.slow
def test_a_finished_sweep_is_not_run_again(whole, reproduce):
    output, _ = whole
    before = contents(output)
    done = reproduce.run(output, *TABLE1, "--oracle_every=1", "--random_weights")
    assert done.returncode == 0, done.stderr
    assert "4 different runs, 4 finished, 0 to do" in done.stdout
    assert contents(output) == before
    assert all(len(events(run, "started")) == 1 for run in run_folders(output))
    # Another experiment of the same runs needs none either.
    done = reproduce.run(
        output, "--experiment=fig3", *TABLE1[2:], "--oracle_every=1", "--random_weights"
    )
    assert "4 different runs, 4 finished, 0 to do" in done.stdout
    assert (output / "fig3" / "tile.png").exists()
    page = (output / "index.html").read_text()
    assert page.index("table1/losses.png") < page.index("fig3/tile.png")


@pytest.mark.slow
def test_a_stopped_and_then_killed_sweep_goes_on(whole, reproduce, tmp_path):
    expected, _ = whole
    output = tmp_path / "results"
    options = (*TABLE1, "--oracle_every=1", "--random_weights")
    finished: list[set[Path]] = []
    # In its second run, and, with the same command, in its third.
    for number, code, nth in ((signal.SIGINT, 130, 2), (signal.SIGKILL, -9, 3)):
        process = subprocess.Popen(
            reproduce.command(output, *options),
            env=reproduce.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while num_with_steps(output) < nth:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == code, stderr
        assert "Traceback" not in stderr
        finished.append({path.parent for path in output.glob("runs/*/result.json")})
    assert 0 < len(finished[0]) <= len(finished[1]) < 4

    done = reproduce.run(output, *options)
    assert done.returncode == 0, done.stderr
    assert contents(output) == contents(expected)
    starts = {run: len(events(run, "started")) for run in run_folders(output)}
    assert all(starts[run] == 1 for run in finished[0])
    assert sum(starts.values()) <= 6  # four runs, two of which were stopped
    for run in starts:
        assert len([line for line in events(run, "ended") if line["code"] == 0]) <= 1


def num_with_steps(output: Path) -> int:
    """How many runs have written down a step."""
    paths = output.glob("runs/*/workdir/metrics.jsonl")
    return sum(path.stat().st_size > 0 for path in paths)


@pytest.mark.slow
def test_a_failed_run_is_reported_and_the_others_go_on(reproduce, toy_root, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(toy_root / "tile", root / "broken")
    shutil.copytree(toy_root / "tile", root / "tile")
    (root / "broken" / "train" / "good" / "003.png").write_bytes(b"no image")
    output = tmp_path / "results"
    options = ("--experiment=table1", "--seeds=0", "--epochs=1", "--probe_steps=0")
    moved = f"--data.root={root}"
    for attempt in (1, 2):
        done = reproduce.run(output, *options, "--random_weights", moved)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.count("no result of RD") == 2
        assert "broken" in done.stderr and "003.png" in done.stderr
        assert len(list(output.glob("runs/*/result.json"))) == 2
        failed = [path.parent for path in output.glob("runs/*/failure.json")]
        assert [len(events(run, "started")) for run in failed] == [attempt] * 2
    report = (output / "table1" / "table.md").read_text()
    assert "Incomplete: 2 run(s) have no result" in report and "003.png" in report
    assert "| tile |" in report


@pytest.mark.filterwarnings("ignore:the load_module")
def test_a_dry_run_leaves_nothing(reproduce, tmp_path, monkeypatch, capsys):
    """The whole of the paper's Table I: fifteen categories in MVTec AD's layout."""
    import reproduce as tool
    from exit_code import exit_code
    from reproduction import paper

    monkeypatch.setenv("RDVAR_CACHE", reproduce.environment["RDVAR_CACHE"])

    root = tmp_path / "mvtec"
    for name in paper.TABLE1:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(reproduce.root / "tile")
    output = tmp_path / "results"
    # Neither the weights of the paper's teacher are at hand, nor a probe possible.
    options = ("--dry_run", "--no_probe", f"--data.root={root}")
    words = ("--experiment=table1", f"--output={output}", *options)
    assert exit_code("reproduce", tool.reproduce, list(words)) == 0
    said = capsys.readouterr().out
    assert "table1: 90 runs (2 variants x 15 categories x 3 seeds)" in said
    assert "90 different runs, 0 finished, 90 to do" in said
    assert not output.exists()


@pytest.mark.slow
def test_a_report_needs_nothing_but_the_runs(whole, tmp_path):
    output = tmp_path / "results"
    shutil.copytree(whole[0], output)
    before = (output / "table1" / "table.md").read_text()
    (output / "table1" / "table.md").unlink()
    for run in run_folders(output)[:1]:
        (run / "result.json").unlink()
    import reproduce as tool

    assert tool.reproduce(["report", f"--output={output}"]) == 1
    after = (output / "table1" / "table.md").read_text()
    assert "Incomplete: 1 run(s) have no result" in after and "Incomplete" not in before
    shutil.copytree(whole[0], output, dirs_exist_ok=True)
    assert tool.reproduce(["report", f"--output={output}"]) == 0
    assert (output / "table1" / "table.md").read_text() == before


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["centre", "stfpm"])
def test_relatives_are_trained_with_and_without_l_var(reproduce, tmp_path, experiment):
    output = tmp_path / "results"
    epochs, batch = 2, "--config.train.batch_size=4"
    if experiment == "stfpm":  # its batch of 32 takes the ten images several times
        epochs, batch = 7, "--config.loss.lambda_var=1"
    options = ("--random_weights", "--seeds=0", f"--epochs=30,tile={epochs}", "--no_probe")
    done = reproduce.run(output, f"--experiment={experiment}", *options, batch)
    assert done.returncode == 0, done.stderr
    results = [json.loads((run / "result.json").read_text()) for run in run_folders(output)]
    assert len(results) == {"centre": 3, "stfpm": 2}[experiment]
    assert all(0 <= r["metrics"]["image_auroc"] <= 1 and r["collapse"] for r in results)
    programs = sorted(r.get("program", "rdvar") for r in results)
    assert programs == {"centre": ["centre", "centre", "rdvar"], "stfpm": ["rdvar"] * 2}[experiment]
    scores = {r["metrics"]["pixel_auroc"] for r in results}
    assert len(scores) == len(results)  # L_var and the centre change something
    assert f"(tile: {epochs})" in (output / experiment / "table.md").read_text()


@pytest.mark.slow
def test_the_probe_measures_and_is_removed(reproduce, tmp_path):
    output = tmp_path / "results"
    options = ("--experiment=table4", "--dry_run", "--random_weights", "--epochs=7")
    done = reproduce.run(output, *options)
    assert done.returncode == 0, done.stderr
    # 10 images, batch 4: (20 + 1) * 4 / 10 epochs are 9, which have 22 steps.
    assert "A probe of 21 steps took" in done.stdout
    assert "So 12 runs, 1 at a time, will take about" in done.stdout
    assert not list((output / "runs").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--experiment=fig4", "--seeds=0,0"), "--seeds=0,0 must be different whole numbers"),
        (("--experiment=table1", "--epochs=tile"), "--epochs=tile must be a whole number of at"),
        (("--experiment=table1", "--epochs=3,screw=4"), "--epochs names 'screw', which is not"),
        (("--experiment=fig4", "--lambdas=0.1,-1"), "--lambdas=0.1,-1 must be numbers of at least"),
        (("--experiment=table9",), "invalid choice: 'table9'"),
        ((), "--experiment is missing"),
        (("--experiment=table1", "--categories=nothing"), "no category 'nothing'"),
        (("--experiment=table1", "--config.loss.lambda_var=0"), "leaves nothing to compare"),
        (
            ("--experiment=table1", "--config=missing.py"),
            "--config missing.py: there is no such file",
        ),
    ],
)
def test_bad_arguments_are_one_sentence(reproduce, tmp_path, options, message, monkeypatch, capsys):
    import reproduce as tool
    from exit_code import exit_code

    monkeypatch.chdir(tmp_path)
    words = (f"--data.root={reproduce.root}", "--random_weights", "--output=results", *options)
    assert exit_code("reproduce", tool.reproduce, list(words)) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
