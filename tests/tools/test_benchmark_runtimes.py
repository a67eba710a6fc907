"""`tools/benchmark_runtimes.py`: its table, and every row on a small network."""

import json
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(TOOLS)]

import benchmark_runtimes  # noqa: E402


def test_ratios_are_to_float32_in_onnx_runtime():
    def row(one: float) -> dict:
        return {"median_ms": {"1": one, "8": 8 * one}, "peak_mb": 100.4}

    rows = {"onnxruntime float32": row(4.0), "onnxruntime int8": row(2.0)}
    report = {"networks": {"resnet18, 128 px": {"commit": "abc", "rows": rows}}}
    lines = benchmark_runtimes.table(report).splitlines()
    assert lines[0] == "resnet18, 128 px; commit abc"
    assert lines[-1] == "| onnxruntime int8 | 2.0 | 0.50 | 16.0 | 0.50 | 100 |"
    for one in rows.values():
        del one["median_ms"]["8"]
    assert benchmark_runtimes.table(report).endswith("| 2.0 | 0.50 |  |  | 100 |")


@pytest.mark.slow
def test_rows_are_timed_in_processes_of_their_own(tmp_path):
    about = benchmark_runtimes.write_random("resnet18", 32, tmp_path)
    (tmp_path / "about.json").write_text(json.dumps(about))
    rows = [row for row in benchmark_runtimes.ROWS if not row.startswith("torch")]
    output = tmp_path / "report.json"
    benchmark_runtimes.add(tmp_path, output, 1, rows, [1])
    (one,) = json.loads(output.read_text())["networks"].values()
    assert list(one["rows"]) == rows
    for row in one["rows"].values():
        assert row["median_ms"]["1"] > 0 and row["peak_mb"] > 50
        low, high = row["quartiles_ms"]["1"]
        assert low <= row["median_ms"]["1"] <= high
