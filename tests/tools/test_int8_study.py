"""`tools/int8_study.py`: paired differences of a report, and one trained run on real images."""

import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(TOOLS)]

import int8_study  # noqa: E402


def one_run(seed: int, float32: float, int8: float, every: float, aupro: float | None) -> dict:
    def figures(value: float) -> dict:
        return {"auroc": value, "aupro": aupro}

    return {
        "category": "screw",
        "seed": seed,
        "lambda_var": 0.1,
        "float32_onnxruntime": figures(float32),
        "int8_onnxruntime": figures(int8),
        "every_onnxruntime": figures(every),
        "quantisation": {"num_int8": 1, "sensitivity": {"a": 0.001 * (seed + 1), "b": 0.02}},
    }


def test_differences_are_paired_by_run():
    runs = {"x": one_run(0, 0.9, 0.901, 0.85, None), "y": one_run(1, 0.8, 0.797, 0.76, None)}
    rows = int8_study.table({"runs": runs}).splitlines()
    assert len(rows) == 3
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    assert cells[:5] == [
        "screw",
        "0 (0.1), 1 (0.1)",
        "85.00",
        "-0.10 (+0.10, -0.30)",
        "-4.50 (-5.00, -4.00)",
    ]
    assert cells[5] == "no masks" and cells[-1] == "1 of 2, 1 of 2"


def test_layers_are_sorted_by_their_mean_change():
    runs = {"x": one_run(0, 0.9, 0.9, 0.9, 0.8), "y": one_run(1, 0.9, 0.9, 0.9, 0.8)}
    rows = int8_study.sensitivity_table({"runs": runs}).splitlines()
    assert rows[2:] == ["| `b` | 2.00 |", "| `a` | 0.15 |"]


@pytest.mark.nightly
@pytest.mark.real_data
def test_a_run_on_real_images_keeps_its_auroc(shared, tmp_path):
    """A short run on leather: 53 test images, so a point of AUROC is some pairs of images."""
    from rdvar_jax import RDVarLoss, ReverseDistillation, fit, load_category

    folder = shared / "data" / "mvtec_256" / "leather_tiles"
    weights = shared / "weights" / "resnet18_imagenet_conv1_to_layer3.pth"
    model = ReverseDistillation("resnet18", weights=weights)
    data = load_category(folder, image_size=96)
    fitted = fit(model, data.train, loss=RDVarLoss(lambda_var=0.1), epochs=8, batch_size=16)
    fitted.save(tmp_path / "run")
    found = int8_study.measure(tmp_path / "run")
    assert found["quantisation"]["num_int8"] >= 10
    for runtime in ("onnxruntime", "openvino"):
        for measure, tolerance in (("auroc", 0.02), ("aupro", 0.01)):
            float32 = found[f"float32_{runtime}"][measure]
            assert float32 > 0.5
            assert abs(found[f"int8_{runtime}"][measure] - float32) < tolerance
