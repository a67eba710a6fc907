"""`tools/benchmark_table.py`: ratios of medians and minima, a line for each backbone and size."""

import json
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(TOOLS)]

import benchmark_table as tool  # noqa: E402
from collect_results import vector_units  # noqa: E402


def group(median: float, minimum: float, share: float = 0.5, disturbed: bool = False) -> dict:
    ratio = {"seconds_median": median, "seconds_min": minimum}
    return {
        "disturbed": disturbed,
        "ratios": None if disturbed else {"jax / torch": ratio},
        "rows": {"jax": {"share_of_peak": None if disturbed else share}, "torch": {}},
    }


def cell(size: int, **groups: dict) -> dict:
    return {"arch": "resnet18", "image_size": size, "groups": groups}


def printed(tmp_path, monkeypatch, capsys, *reports: list[dict]) -> list[list[str]]:
    """The cells of all lines that are none of a header."""
    paths = []
    for index, cells in enumerate(reports):
        paths.append(tmp_path / f"{index}.json")
        paths[-1].write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(sys, "argv", ["benchmark_table.py", *map(str, paths)])
    tool.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if "resnet18" in line]
    return [[word.strip() for word in line.strip("|").split("|")] for line in lines]


def test_medians_and_minima_of_each_cell(tmp_path, monkeypatch, capsys):
    first = [
        cell(64, step=group(2.68, 2.5, share=0.08), score_8=group(5.14, 5.0)),
        cell(256, step=group(0.9, 0.9)),
    ]
    second = [cell(64, cached_step=group(2.35, 2.2), score_1=group(1, 1, disturbed=True))]
    lines = printed(tmp_path, monkeypatch, capsys, first, second)
    assert lines == [
        ["resnet18", "64", "2.68", "2.35", "disturbed", "5.14", "8 %"],
        ["resnet18", "256", "0.90", "", "", "", "50 %"],
        ["resnet18", "64", "2.50", "2.20", "disturbed", "5.00", "8 %"],
        ["resnet18", "256", "0.90", "", "", "", "50 %"],
    ]


def test_the_last_report_counts(tmp_path, monkeypatch, capsys):
    old, new = [cell(64, step=group(2.0, 2.0))], [cell(64, step=group(0.7, 0.8))]
    lines = printed(tmp_path, monkeypatch, capsys, old, new)
    assert [line[2] for line in lines] == ["0.70", "0.80"]


@pytest.mark.parametrize("text", ["{", '{"groups": {}}', '{"cells": []}'])
def test_other_files_are_refused(text, tmp_path, monkeypatch, capsys):
    path = tmp_path / "r.json"
    path.write_text(text)
    monkeypatch.setattr(sys, "argv", ["benchmark_table.py", str(path)])
    with pytest.raises(SystemExit) as info:
        tool.main()
    assert info.value.code == 2
    assert "report" in capsys.readouterr().err.splitlines()[-1]


def test_vector_units():
    assert vector_units(["avx", "avx2", "fma"]) == ["AVX2"]
    every = ["amx_bf16", "amx_tile", "avx2", "avx512_vnni", "avx512f"]
    assert vector_units(every) == ["AVX2", "AVX-512", "VNNI", "AMX"]
    assert vector_units(["avx2", "avx_vnni"]) == ["AVX2", "VNNI"]
    assert vector_units(["asimd"]) == ["none of AVX2, AVX-512, VNNI, AMX"]
