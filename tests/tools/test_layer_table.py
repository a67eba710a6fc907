"""`tools/layer_table.py`: the layers are those of the networks; shares, sums and ratios follow."""

import json
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(TOOLS), str(TOOLS / "benchmark_rows")]

import layer_table as tool  # noqa: E402
from arithmetic import gflop_an_image  # noqa: E402
from benchmark_rows.layer import Layer  # noqa: E402
from find_layers import find_layers  # noqa: E402


@pytest.mark.parametrize(
    "arch", ["resnet18", pytest.param("wide_resnet50_2", marks=pytest.mark.slow)]
)
def test_the_layers_make_up_the_networks_arithmetic(arch):
    layers = find_layers(arch, 4, 64, batch=3)
    gflop = gflop_an_image(arch, 4, 64)
    scoring = sum(layer.gflop * layer.counts["scoring"] for layer in layers)
    kernels = sum(layer.gflop * layer.counts["kernel gradient"] for layer in layers)
    # Maps are made from features by a few products more, which are no layers.
    assert scoring == pytest.approx(3 * gflop["score"], rel=1e-6)
    assert kernels == pytest.approx(gflop["train+cache"], rel=1e-6)  # 3 images, a third of each
    assert len({layer.name for layer in layers}) == len(layers)


def test_layers_of_resnet18():
    found = {layer.name: layer for layer in find_layers("resnet18", 64, 64, batch=8)}
    first = found["7x7 stride 2, 3 to 64 at 64x64"]
    assert first.shape == (8, 64, 64, 3) and first.output_shape == (8, 32, 32, 64)
    assert first.counts == {
        "forward": 1,
        "input gradient": 0,
        "kernel gradient": 0,
        "scoring": 1,
    }
    # Once in the teacher; in the bottleneck its input is the teacher's layer1.
    down = found["3x3 stride 2, 64 to 128 at 16x16"]
    assert (down.teacher, down.student, down.counts["input gradient"]) == (1, 1, 0)
    deconv = found["2x2 deconv, 512 to 256 at 2x2"]
    assert deconv.output_shape == (8, 4, 4, 256)
    assert deconv.gflop == pytest.approx(2e-9 * 8 * 4 * 4 * 512 * 256)


def timed(*seconds: float, others: float = 0.0) -> list[dict[str, float]]:
    about = {"peak_gb": 1.0, "others_cores": others}
    return [{"seconds": s, "cpu_seconds": s, **about} for s in seconds]


def line(name: str, ours: float, others: float = 0.0):
    layer = Layer("conv", (2, 8, 8, 4), 4, 3, 1, teacher=1, student=3, without_input_gradient=1)
    calls = [timed(ours, 2 * ours, ours, others=others), timed(2 * ours, 4 * ours, 3 * ours)]
    return tool._line(layer, name, 10, calls, max_others=0.1)


def test_shares_sums_and_ratios():
    lines = tool._with_shares(
        [line("forward", 1.0), line("input gradient", 4.0), line("scoring", 1.0)]
    )
    assert [entry["count"] for entry in lines] == [4, 2, 4]
    assert [entry["share"] for entry in lines] == [4 / 12, 8 / 12, 1.0]
    assert lines[0]["ours"]["seconds_median"] == 0.1  # of one of the ten copies
    assert lines[0]["ratio_of_medians"] == pytest.approx(1 / 3)
    assert lines[0]["ratio_of_minima"] == pytest.approx(1 / 2)
    flops = lines[0]["gflop"] / 0.1
    assert lines[0]["ours"]["gflop_per_second"] == pytest.approx(flops)
    assert "| forward | 400 | 1200 | 0.333 |" in tool._sums(lines)


def test_a_disturbed_layer_has_no_ratio():
    disturbed = tool._with_shares([line("forward", 1.0, others=0.5)])
    assert disturbed[0]["disturbed"] and disturbed[0]["ratio_of_medians"] is None
    assert "| disturbed |" in tool._sums(disturbed)


@pytest.mark.slow  # processes that compile
def test_end_to_end(tmp_path, monkeypatch, capsys):
    small = ("--arch=resnet18", "--stem_width=4", "--image_size=32", "--batch=2", "--rounds=1")
    command = ["layer_table.py", *small, "--min_seconds=0", f"--output={tmp_path / 'l'}"]
    monkeypatch.setattr(sys, "argv", [*command, "--layers=deconv", "--copies=2"])
    tool.main()
    report = json.loads((tmp_path / "l.json").read_text())
    assert "instruction_sets" in report["machine"]
    assert {entry["pass"] for entry in report["layers"]} == set(tool.PASSES)
    assert all("deconv" in entry["layer"] for entry in report["layers"])
    assert all(entry["ours"]["seconds_min"] > 0 for entry in report["layers"])
    assert (tmp_path / "l.md").read_text().strip() == capsys.readouterr().out.strip()


def test_a_filter_that_finds_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "distinct_layers", lambda _: [Layer("conv", (2, 8, 8, 4), 4, 3, 1)])
    command = ["layer_table.py", "--layers=9x9", f"--output={tmp_path / 'l'}"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match="no layer's name contains it"):
        tool.main()
    assert not list(tmp_path.iterdir())
