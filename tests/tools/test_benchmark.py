"""`tools/benchmark.py`: every group runs end to end; what it reports follows from the times."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rdvar_jax.scoring.metrics import auroc, pro_rd4ad

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SMALL = ("--arches=resnet18", "--stem_width=4", "--image_sizes=32", "--rounds=1", "--min_seconds=0")
ANY_LOAD, NO_LOAD = "--max_others_cores=1e9", "--max_others_cores=-1"

# The tools are scripts: what they import lies beside them.
sys.path[:0] = [str(TOOLS), str(TOOLS / "benchmark_rows")]

import benchmark as tool  # noqa: E402
from arithmetic import gflop_an_image  # noqa: E402
from benchmark_rows.summary import add_arithmetic, compare, summarise  # noqa: E402
from rd4ad_metrics import mean_pro, overlaps, pixel_auroc  # noqa: E402


def benchmark(output: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, TOOLS / "benchmark.py", "--output", output, *SMALL, *options]
    cache = str(TOOLS.parent / ".cache" / "xla-tests")
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
        capture_output=True,
        text=True,
    )


def measured(output: Path, *options: str) -> dict:
    done = benchmark(output, *options)
    assert done.returncode == 0, done.stderr
    assert output.with_suffix(".md").read_text().strip() == done.stdout.strip()
    assert output.with_suffix(".png").stat().st_size > 1000
    report = json.loads(output.with_suffix(".json").read_text())
    assert report["machine"]["instruction_sets"] and report["machine"]["vector_units"]
    return report


def groups_of(report: dict) -> dict:
    (cell,) = report["cells"]
    assert (cell["arch"], cell["image_size"]) == ("resnet18", 32)
    return cell["groups"]


def row(*seconds: float, others: float = 0.0, **about) -> dict:
    calls = [
        {"seconds": s, "cpu_seconds": 2 * s, "peak_gb": 1.0, "others_cores": others}
        for s in seconds
    ]
    return summarise(calls, about)


def test_ratios_are_of_medians_minima_and_rounds():
    rows = {"a": row(1.0, 3.0, 2.0, images=4), "b": row(2.0, 2.0, 1.0)}
    result = compare(rows, [("a", "b")], max_others=0.1)
    assert result["ratios"]["a / b"] == {
        "seconds_median": 1.0,
        "seconds_min": 1.0,
        "cpu_seconds_min": 1.0,
        "by_round": {"median": 1.5, "min": 0.5, "max": 2.0},
    }
    assert rows["a"]["images_per_second"] == 2.0
    assert not result["disturbed"]


def test_a_disturbed_group_has_neither_ratio_nor_efficiency_nor_share():
    rows = {
        "one": row(1.0, kind="train", images=8, devices=1),
        "two": row(0.6, kind="train", images=8, devices=2, others=0.2),
    }
    quiet = compare(rows, [("one", "two")], max_others=0.3)
    assert quiet["ratios"] and quiet["efficiency"]
    result = compare(rows, [("one", "two")], max_others=0.1)
    add_arithmetic(result, {"train": 5.0}, [100.0])
    assert result["disturbed"] and result["ratios"] is None and result["efficiency"] is None
    assert result["rows"]["one"]["gflop_per_second"] == 40.0
    assert result["rows"]["one"]["share_of_peak"] is None


def test_efficiency_of_several_devices():
    rows = {
        "1 x 8": row(1.0, images=8, devices=1),
        "4 x 2": row(0.5, images=8, devices=4),
        "4 x 8": row(1.25, images=32, devices=4),
    }
    assert compare(rows, [], max_others=0.1)["efficiency"] == {
        "4 x 2": {"scaling": "strong", "efficiency": 0.5},
        "4 x 8": {"scaling": "weak", "efficiency": 0.8},
    }


def test_share_of_the_best_peak():
    result = compare({"a": row(0.5, kind="score", images=10)}, [], max_others=0.1)
    add_arithmetic(result, {"score": 2.0}, [50.0, 80.0])
    assert result["rows"]["a"]["gflop_per_second"] == 40.0
    assert result["rows"]["a"]["share_of_peak"] == 0.5


def test_arithmetic_is_that_of_the_architecture():
    # Multiply-adds of the three parts, from the layers' shapes: 12.0, 7.31 and 11.14 GMAC.
    gflop = gflop_an_image("wide_resnet50_2", 64, 256)
    assert gflop["score"] == pytest.approx(2 * (12.0 + 7.31 + 11.14), rel=1e-3)
    assert gflop["train"] == pytest.approx(2 * (12.0 + 3 * (7.31 + 11.14)), rel=1e-3)
    assert gflop["train+cache"] == pytest.approx(6 * (7.31 + 11.14), rel=1e-3)


def test_the_slow_metrics_are_right():
    rng = np.random.default_rng(0)
    masks = rng.random((4, 40, 40)) < 0.02
    masks[0, 5:12, 5:20] = True
    masks[3] = False
    maps = rng.normal(size=masks.shape) + 2 * masks
    assert pixel_auroc(maps, masks) == pytest.approx(auroc(maps, masks), rel=1e-12)
    assert mean_pro(maps, masks) == pytest.approx(pro_rd4ad(maps, masks), rel=1e-12)
    touching = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], bool)
    found = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
    assert overlaps(found, touching) == [0.5, 1.0]


def test_metrics_and_decoding_end_to_end(tmp_path):
    report = measured(tmp_path / "new" / "r", "--only", "metrics", "decode", ANY_LOAD)
    metrics, decode = groups_of(report)["metrics"], groups_of(report)["decode"]
    assert metrics["facts"]["aurocs_equal"] is True
    assert 0.5 < metrics["facts"]["exact"]["auroc"] < 1
    assert metrics["facts"]["all_exact"]["aupro"] == metrics["facts"]["exact"]["aupro"]
    assert decode["facts"]["pixels_equal"] is True
    assert decode["facts"]["files"] == {".png": 32}
    for group in (metrics, decode):
        for values in group["ratios"].values():
            assert values["seconds_min"] > 0


@pytest.mark.slow
def test_data_of_ones_own(tmp_path, toy_root):
    options = (f"--data={toy_root}", "--only", "metrics", "decode", ANY_LOAD)
    groups = groups_of(measured(tmp_path / "r", *options))
    assert groups["metrics"]["facts"]["masks"] == "4 files"
    assert groups["metrics"]["facts"]["aurocs_equal"] is True
    assert groups["decode"]["facts"]["files"] == {".png": 17}  # no masks
    assert groups["decode"]["facts"]["pixels_equal"] is True


@pytest.mark.slow  # a process that compiles
def test_nothing_is_compared_where_disturbed(tmp_path):
    group = groups_of(measured(tmp_path / "r", "--only", "score_1", NO_LOAD))["score_1"]
    assert group["disturbed"] and group["ratios"] is None and group["efficiency"] is None
    (summary,) = group["rows"].values()
    assert summary["gflop_per_second"] > 0 and summary["share_of_peak"] is None
    assert "disturbed by other processes" in (tmp_path / "r.md").read_text()


@pytest.mark.slow
def test_rows_of_networks_end_to_end(tmp_path):
    groups = groups_of(measured(tmp_path / "r", "--only", "l_var", "serving_1", ANY_LOAD))
    assert list(groups["l_var"]["rows"]) == ["lambda 0.1", "lambda 0", "no L_var"]
    assert set(groups["l_var"]["ratios"]) == {"lambda 0.1 / no L_var", "lambda 0.1 / lambda 0"}
    assert set(groups["serving_1"]["ratios"]) == {"bundle 1 / onnx 1"}
    for group in groups.values():
        for summary in group["rows"].values():
            assert 0 < summary["seconds_min"] <= summary["seconds_median"]
            assert summary["gflop_per_second"] > 0 and summary["share_of_peak"] > 0


def test_groups_that_are_left_out_for_lack_of_time(tmp_path):
    done = benchmark(tmp_path / "r", "--only", "metrics", "decode", "--time_limit=0")
    assert done.returncode == 0, done.stderr
    left_out = json.loads((tmp_path / "r.json").read_text())["left_out"]
    assert [one["group"] for one in left_out] == ["metrics", "decode"]
    assert "Left out, no time: metrics of resnet18, 32 px, decode of" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data=nowhere",), "--data nowhere is not a folder"),
        (("--image_sizes", "64", "50"), "--image_sizes must be multiples of 32, not 50"),
        (("--num_photographs=0",), "--num_photographs must be at least 1"),
        (("--rounds=0",), "--rounds must be at least 1"),
        (("--peers", "anomalib"), "give --anomalib_python"),
        (("--only", "anomalib_step"), "give --anomalib_python"),
    ],
)
def test_bad_arguments_are_one_sentence(options, message, tmp_path, monkeypatch, capsys):
    command = ["benchmark.py", f"--output={tmp_path / 'r'}", *SMALL, *options]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as info:
        tool.main()
    assert info.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_each_backbone_and_size_is_a_cell(tmp_path):
    cells = ("--image_sizes", "32", "64", "--arches", "resnet18", "resnet34")
    report = measured(tmp_path / "r", *cells, "--only", "decode", ANY_LOAD)
    keys = [(cell["arch"], cell["image_size"]) for cell in report["cells"]]
    assert keys == [("resnet18", 32), ("resnet18", 64), ("resnet34", 32), ("resnet34", 64)]
    arithmetic = [cell["gflop_an_image"]["score"] for cell in report["cells"]]
    assert arithmetic[0] < arithmetic[1] < arithmetic[3] and arithmetic[0] < arithmetic[2]
    sizes = [cell["groups"]["decode"]["facts"]["first_size"] for cell in report["cells"]]
    assert sizes == 2 * [[128, 128], [256, 256]]


@pytest.mark.nightly
def test_all_groups_without_torch(tmp_path):
    names = ("step", "score_1", "serving_1", "modes", "l_var", "devices", "metrics", "decode")
    names += ("start_up",)
    report = measured(tmp_path / "r", "--only", *names, ANY_LOAD)
    groups = groups_of(report)
    assert tuple(groups) == names
    assert {"commit", "machine", "versions", "precision"} <= set(report)
    assert report["devices"] == ["cpu"]
    one_row = {"step", "score_1"}
    for name, group in groups.items():
        assert not group["disturbed"]
        assert (group["ratios"] is None) == (name in one_row)
        for summary in group["rows"].values():
            assert 0 < summary["seconds_min"] <= summary["seconds_median"]
            assert summary["peak_gb"] > 0
        if name not in ("metrics", "decode", "start_up"):
            assert all(0 < summary["share_of_peak"] < 1 for summary in group["rows"].values())
    assert set(groups["l_var"]["ratios"]) == {
        "lambda 0.1 / no L_var",
        "lambda 0.1 / lambda 0",
    }
    assert set(groups["serving_1"]["ratios"]) == {"bundle 1 / onnx 1"}
    assert "onnxruntime" in report["versions"]
    devices = groups["devices"]
    assert [row["devices"] for row in devices["rows"].values()] == [1, 2, 2]
    assert [value["scaling"] for value in devices["efficiency"].values()] == ["strong", "weak"]
    assert "share the same cores" in devices["facts"]["note"]
    start_up = groups["start_up"]["rows"]
    # Compiling takes longer than reading what was compiled, by more than any load can hide.
    assert (
        start_up["first train: cold"]["cpu_seconds_min"]
        > (start_up["first train: warm"]["cpu_seconds_min"])
    )
    assert report["installed"]["rdvar-jax"]["required_bytes"] > 100e6
