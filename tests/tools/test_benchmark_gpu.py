"""`tools/benchmark_gpu.sh`: every branch, what goes wrong in one, and what is written when."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(TOOLS)]

import benchmark_gpu as tool  # noqa: E402
from gpu import device, timed, training  # noqa: E402
from gpu.branches import BRANCHES  # noqa: E402
from gpu.correctness import row_of  # noqa: E402
from gpu.correctness_checks import compared  # noqa: E402
from gpu.outcome import LeftOut, attempt  # noqa: E402
from gpu.plan import Plan  # noqa: E402
from gpu.report import add_shares, markdown, ratios_of  # noqa: E402

ORDER = ["correctness", "peaks", "steps", "modes", "steps_a_call", "batches", "scoring", "torch"]
ORDER += ["l_var", "layers", "flags", "end_to_end", "evidence"]


def make_plan(scratch: Path, seconds: float = 1e6, **settings) -> Plan:
    deadline = time.perf_counter() + seconds
    plan = Plan(False, None, None, "random", (), (0, 1), deadline, scratch)
    return replace(plan.rehearsal(), **settings)


def run(monkeypatch, output: Path, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmark_gpu.py", f"--output={output}", *words])
    return tool.main()


def on_cpu(monkeypatch) -> None:
    """The answer of a machine without a GPU, without the time that JAX takes to give it."""
    answer = {"platform": "cpu", "kind": "cpu", "number": 1, "versions": {}}
    monkeypatch.setattr(device, "CODE", f"print({json.dumps(json.dumps(answer))})")


def test_it_refuses_a_cpu_in_one_sentence(tmp_path, monkeypatch, capsys):
    on_cpu(monkeypatch)
    assert run(monkeypatch, tmp_path / "r", "--time_limit=0") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "JAX finds no GPU here" in line and "--rehearse" in line
    assert not list(tmp_path.iterdir())


def test_a_jax_that_does_not_start_is_no_gpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(device, "CODE", "raise SystemExit(1)")
    assert run(monkeypatch, tmp_path / "r", "--time_limit=0") == 2
    assert "JAX finds no GPU here" in capsys.readouterr().err


def test_the_order_of_the_branches():
    assert list(BRANCHES) == ORDER


def test_the_report_is_written_after_each_row(tmp_path, monkeypatch, capsys):
    on_cpu(monkeypatch)
    output, seen = tmp_path / "new" / "r", []

    def branch(plan):
        yield {"row": "first"}
        seen.append(json.loads(output.with_suffix(".json").read_text())["branches"]["steps"])
        yield attempt("second", lambda: 1 / 0)  # type: ignore[return-value]
        yield {"row": "third"}

    monkeypatch.setitem(BRANCHES, "steps", branch)
    assert run(monkeypatch, output, "--rehearse", "--only", "steps") == 1  # a row has failed
    assert [row["row"] for row in seen[0]] == ["first"]
    report = json.loads(output.with_suffix(".json").read_text())
    assert [row["row"] for row in report["branches"]["steps"]] == ["first", "second", "third"]
    assert "ZeroDivisionError" in report["branches"]["steps"][1]["failed"]
    assert report["status"].startswith("REHEARSAL") and report["machine"]["instruction_sets"]
    assert "FAILED: ZeroDivisionError" in output.with_suffix(".md").read_text()
    assert "failed: second" in capsys.readouterr().err


def test_without_time_nothing_more_is_begun(tmp_path, monkeypatch):
    on_cpu(monkeypatch)

    def branch(plan):
        yield {"row": "first"}
        pytest.fail("begun after the deadline")

    monkeypatch.setitem(BRANCHES, "steps", branch)
    words = ("--rehearse", "--only", "steps", "modes")

    class Clock:
        def __init__(self):
            self.now = 0.0

        def __call__(self) -> float:
            self.now += 1
            return self.now

    monkeypatch.setattr(time, "perf_counter", Clock())
    assert run(monkeypatch, tmp_path / "r", *words, "--time_limit=4") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    left = report["branches"]["steps"][1]
    assert left["left_out"] == "no time" and report["not_begun"] == ["modes"]
    assert "Not begun, no time: modes" in (tmp_path / "r.md").read_text()


def test_what_goes_wrong_is_a_row():
    def fails(error: BaseException):
        raise error

    assert attempt("a", lambda: fails(LeftOut("why")))["left_out"] == "why"
    assert attempt("a", lambda: fails(SystemExit("the process ended")))["failed"].endswith("ended")
    row = attempt("a", lambda: fails(KeyError("x")))
    assert row["failed"] == "KeyError: 'x'" and row["traceback"]


def test_rows_without_torch_or_data_are_named(tmp_path):
    plan = make_plan(tmp_path)
    row = attempt("a", lambda: timed.Timed("torch", "train+tuned", 2).measure(plan))
    assert "no PyTorch" in row["left_out"]
    real = replace(plan, rehearse=False)
    assert "set DATA" in next(training.end_to_end(real))["left_out"]
    assert "set SETS" in next(training.evidence(real))["left_out"]
    other = replace(real, data=tmp_path)
    assert "has no folder cloth" in next(training.end_to_end(other))["left_out"]


def test_rows_of_one_device_are_named():
    with pytest.raises(LeftOut, match="one device"):
        timed._of_several({"facts": {"num_devices": 1}})
    assert timed._of_several({"facts": {"num_devices": 2}})


def test_a_check_over_its_bound_has_failed():
    right = {"a": np.array([3.0, 4.0])}
    near = compared("maps", "bfloat16", 2, {"a": right["a"] + [0.0, 0.05]}, right)
    assert near["error"] == pytest.approx(0.01) and near["right"]
    for ours in (right["a"] + [0.0, 0.2], np.array([3.0, np.nan])):
        check = compared("maps", "bfloat16", 2, {"a": ours}, right)
        row = row_of({"golden": "basic", "precision": "bfloat16", **check})
        assert "WRONG" in row["failed"] and row["row"] == "maps of basic, batch 2, bfloat16"
    assert "failed" not in row_of({"golden": "basic", "precision": "bfloat16", **near})


def test_ratios_are_of_the_same_batch_and_shares_of_the_same_precision():
    def row(name: str, batch: int, precision: str, speed: float, kind: str = "train") -> dict:
        full = f"{name}, batch {batch}, {precision}"
        about = {"batch": batch, "precision": precision, "images_per_second": speed}
        return {"row": full, "kind": kind, **about}

    branches = {
        "peaks": [
            {"row": "p", "precision": "bfloat16", "peak_gflop_per_second": 1000.0},
            {"row": "p", "precision": "tf32", "peak_gflop_per_second": 500.0},
            {"row": "arithmetic", "gflop_an_image": {"train": 2.0, "score": 1.0}},
        ],
        "steps": [row("jax train", 16, "bfloat16", 200.0), row("jax train", 16, "tf32", 100.0)],
        "batches": [row("jax train", 32, "bfloat16", 300.0)],
        "torch": [
            row("torch train+tuned", 32, "bfloat16", 50.0),
            row("torch train+tuned", 16, "bfloat16", 100.0),
            row("torch score", 8, "bfloat16", 40.0, "score"),
        ],
        "scoring": [row("jax score", 8, "bfloat16", 60.0, "score")],
    }
    rows = [one for every in branches.values() for one in every]
    assert ratios_of(rows, 16) == {
        "PyTorch tuned / here": 2.0,
        "PyTorch / here, scoring 8": 1.5,
    }
    add_shares(branches)
    assert [one["share_of_peak"] for one in branches["steps"]] == [0.4, 0.4]
    assert branches["scoring"][0]["gflop_per_second"] == 60.0


def test_a_folder_that_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as info:
        run(monkeypatch, tmp_path / "r", "--rehearse")
    assert info.value.code == 2
    assert "is not a folder" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow  # trains
def test_a_training_that_would_outlast_the_deadline_is_stopped_and_evaluated(tmp_path):
    seconds = training.SECONDS_TO_STOP + 20.0
    plan = make_plan(tmp_path, seconds, rehearse=False, epochs=100_000)
    data = training.drawn_data(plan)
    cpu = {"JAX_PLATFORMS": "cpu"}
    plan = OnCpu(**{**vars(plan), "data": data})
    assert plan.environment["JAX_PLATFORMS"] == cpu["JAX_PLATFORMS"]
    (row,) = training.end_to_end(plan)
    assert 0 < row["epochs"] < 100_000 and "stopped" in row
    assert 15 < row["seconds"]["train"] < 60
    assert row["metrics"]["image_auroc"] is not None


class OnCpu(Plan):
    """A real plan's deadlines, on the CPU."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "JAX_PLATFORMS": "cpu"}


@pytest.mark.nightly  # two to three minutes
def test_the_rehearsal_goes_through_every_branch(tmp_path):
    output = tmp_path / "r"
    start = time.perf_counter()
    done = subprocess.run(
        [TOOLS / "benchmark_gpu.sh", "--rehearse", "--output", output],
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    report = json.loads(output.with_suffix(".json").read_text())
    assert list(report["branches"]) == ORDER and not report["not_begun"]
    rows = [row for rows in report["branches"].values() for row in rows]
    assert not [row for row in rows if "failed" in row]
    # All that is left out is named; nothing but PyTorch can be missing.
    for row in rows:
        assert "PyTorch" in row.get("left_out", "PyTorch")
    assert output.with_suffix(".md").read_text() == done.stdout.removesuffix("\n")
    assert markdown(report).startswith("REHEARSAL on the CPU")
    assert seconds < 180
