"""`tools/benchmark_rows/whole.py`: whole commands are timed and compared with their parts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(TOOLS)]

from benchmark_rows import whole  # noqa: E402
from benchmark_rows.kit import Kit  # noqa: E402

SMALL = ("--arches=resnet18", "--stem_width=4", "--image_sizes=32", "--rounds=1", "--min_seconds=0")
PHOTOGRAPHS = ("--num_photographs=9", "--photograph_size=64")


def row(seconds: float) -> dict:
    return {"seconds_median": seconds}


def commands(onnx: str | None = "x.onnx", anomalib: str | None = None) -> whole.WholeCommands:
    """Without its files, which take processes to make."""
    made = object.__new__(whole.WholeCommands)
    made.kit = Kit("d", "w", "b", onnx, ["a.png", "b.png"], 0.5, (0.0, 1.0), "cache")
    made.anomalib_python, made.runtimes_python = anomalib, sys.executable
    return made


def test_a_pipeline_is_compared_with_its_slower_part():
    rows = {
        whole.ONE: row(2.0),
        whole.NO_PICTURES: row(5.0),
        "ONNX Runtime": row(4.0),
        "decoding alone": row(1.0),
        "networks alone": row(2.5),
    }
    parts = ("decoding alone", "networks alone")
    assert whole.slower_part(rows, parts) == "networks alone"
    assert commands()._pairs(rows, parts) == [
        (whole.ONE, "networks alone"),
        (whole.NO_PICTURES, "networks alone"),
        ("ONNX Runtime", "networks alone"),
        (whole.NO_PICTURES, "ONNX Runtime"),
    ]
    facts = commands()._facts("predict_folder", rows, parts)
    without = facts["without the time of one image, over the slower part"]
    assert without == {whole.NO_PICTURES: pytest.approx((5.0 - 2.0) / 2.5)}


def test_what_is_left_out_has_a_reason():
    assert commands()._left_out("predict_one")[whole.ANOMALIB] == "no --anomalib_python"
    reasons = commands(onnx=None, anomalib="python")._left_out("detector_list")
    assert set(reasons) == set(whole.RUNTIMES.values())
    assert all("onnx" in reason for reason in reasons.values())
    assert commands()._left_out("first_step") == {}


def test_the_time_to_a_files_first_line(tmp_path):
    file = tmp_path / "lines"
    script = f"import time; time.sleep(0.2); open({str(file)!r}, 'w').write('x'); time.sleep(0.6)"
    timed = whole.time_to_line([sys.executable, "-c", script], file, dict(os.environ))
    assert 0.2 < timed["seconds"] and timed["peak_gb"] > 0
    # It waits for the end of the command, which is not counted.
    elsewhere = [sys.executable, "-c", "print('what went wrong')"]
    with pytest.raises(SystemExit, match="what went wrong"):
        whole.time_to_line(elsewhere, tmp_path / "never", dict(os.environ))


def measured(output: Path, *options: str) -> dict:
    command = [sys.executable, TOOLS / "benchmark.py", "--output", output, *SMALL, *PHOTOGRAPHS]
    cache = str(TOOLS.parent / ".cache" / "xla-tests")
    done = subprocess.run(
        [str(part) for part in (*command, "--max_others_cores=1e9", *options)],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(output.with_suffix(".json").read_text())["cells"]
    return cell["groups"]


@pytest.mark.slow  # processes that train, export and load
def test_a_list_end_to_end(tmp_path):
    group = measured(tmp_path / "r", "--only", "detector_list")["detector_list"]
    parts = {"decoding alone", "bundle's network alone"}
    assert {"Detector.predict", "ONNX Runtime", *parts} <= set(group["rows"])
    assert group["facts"]["slower part"] in parts
    assert f"Detector.predict / {group['facts']['slower part']}" in group["ratios"]
    assert group["left_out"][whole.ANOMALIB] == "no --anomalib_python"
    assert group["rows"]["Detector.predict"]["images"] == 9


@pytest.mark.nightly
def test_all_commands_end_to_end(tmp_path):
    groups = measured(tmp_path / "r", "--only", *whole.WHOLE)
    assert tuple(groups) == whole.WHOLE
    for group in groups.values():
        for summary in group["rows"].values():
            assert 0 < summary["seconds_min"] <= summary["seconds_median"]
    one = groups["predict_one"]["rows"]
    assert {"rdvar predict: run", "rdvar predict: bundle", "Detector in Python"} <= set(one)
    folder = groups["predict_folder"]["rows"]
    assert {whole.ONE, whole.NO_PICTURES, whole.PICTURES, whole.KNOWN_SCALE} <= set(folder)
    # Pictures take time, and so does starting.
    assert folder[whole.PICTURES]["seconds_min"] > folder["decoding alone"]["seconds_min"]
    assert list(groups["first_step"]["rows"]) == ["rdvar train: to its first step"]
