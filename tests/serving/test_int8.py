"""Int8 models of a narrow network: which layers, which values, and when they are refused."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from narrow import narrow
from onnx import numpy_helper
from scipy.stats import spearmanr

from rdvar_jax import Detector
from rdvar_jax.errors import BundleError
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.serving.int8 import make_int8 as module
from rdvar_jax.serving.int8 import quantiser as quantisers
from rdvar_jax.serving.int8.comparison import (
    WRITTEN,
    Comparison,
    Images,
    changes,
    compare,
)
from rdvar_jax.serving.int8.make_int8 import Groups, load_score, make_int8
from rdvar_jax.serving.int8.quantiser import Quantiser
from rdvar_jax.serving.int8.selection import choose
from rdvar_jax.serving.int8.shifted_threshold import factor_of, shifted
from rdvar_jax.serving.onnx_network import build_onnx
from rdvar_jax.serving.program import folded_weights
from rdvar_jax.serving.runtimes.runtime import ONNX_RUNTIMES

ABOUT = {
    "image": {"geometry": "squash", "height": 32, "width": 32},
    "threshold": {"threshold": 0.5},
}


@pytest.fixture(scope="module")
def model() -> bytes:
    _, _, *variables = narrow("resnet18", 4, 32)
    properties = {"rdvar": json.dumps(ABOUT)}
    return build_onnx("resnet18", folded_weights(*variables), 32, SIGMA, properties)


@pytest.fixture(scope="module")
def groups() -> Groups:
    rng = np.random.default_rng(3)

    def images() -> Images:
        rows = np.arange(32)[None, :, None, None] * rng.uniform(2, 6, (6, 1, 1, 3))
        good = (rows + rng.integers(0, 60, (6, 32, 32, 3))).astype(np.uint8)
        drawn = good.copy()
        drawn[:, 8:16, 8:20] = rng.integers(0, 256, (6, 8, 12, 3))
        return Images(good, drawn)

    return Groups(images(), images(), images())


@pytest.fixture(scope="module")
def quantiser(model, groups) -> Quantiser:
    return Quantiser(model, groups.calibration.all)


def operations(content: bytes) -> list[onnx.NodeProto]:
    return list(onnx.load_from_string(content).graph.node)


def constants(content: bytes) -> dict[str, onnx.TensorProto]:
    return {one.name: one for one in onnx.load_from_string(content).graph.initializer}


def test_only_the_chosen_convolutions_are_int8(model, quantiser):
    names = quantiser.convolutions
    assert len(names) == len(set(names)) == 38
    chosen = names[5:9]
    nodes = operations(quantiser.model(chosen))
    maker = {out: node for node in nodes for out in node.output}
    for node in nodes:
        if node.op_type == "Conv":
            of_weights = maker[node.input[1]].op_type if node.input[1] in maker else ""
            assert (of_weights == "DequantizeLinear") == (node.name in chosen)
    found = {
        one.name: one for one in onnx.load_from_string(quantiser.model(chosen)).graph.initializer
    }
    for one in onnx.load_from_string(model).graph.initializer:
        if one.name.endswith("/kernel") and one.name.removesuffix("/kernel") not in chosen:
            assert found[one.name] == one
    for name in chosen:
        weights = numpy_helper.to_array(found[f"{name}/kernel_quantized"])
        assert weights.dtype == np.int8 and np.abs(weights.astype(int)).max() <= 64
        scales = numpy_helper.to_array(found[f"{name}/kernel_scale"])
        assert scales.shape == (weights.shape[0],)  # one for each output channel


def test_without_a_convolution_it_is_the_float32_model(model, quantiser):
    assert onnx.load_from_string(quantiser.model([])) == onnx.load_from_string(model)


def test_sums_and_cosines_have_float_values(quantiser):
    nodes = operations(quantiser.model(quantiser.convolutions))
    maker = {out: node for node in nodes for out in node.output}
    for node in nodes:
        if node.op_type in ("Conv", "QuantizeLinear", "DequantizeLinear"):
            continue
        for name in node.input:
            if name in maker and maker[name].op_type == "DequantizeLinear":
                rounded = maker[maker[name].input[0]]
                assert maker[rounded.input[0]].op_type == "Conv", node.name
    features = {"student/decoder/layer1/block1/sum/relu", "teacher/layer3/block1/sum/relu"}
    assert features <= {name for node in nodes if node.op_type == "Mul" for name in node.input}


@pytest.mark.parametrize("runtime", ONNX_RUNTIMES)
def test_a_model_runs_in_both_runtimes(quantiser, model, groups, tmp_path, runtime):
    (tmp_path / "float32.onnx").write_bytes(model)
    (tmp_path / "int8.onnx").write_bytes(quantiser.model(quantiser.convolutions[20:]))
    expected = Detector.load(tmp_path / "float32.onnx").predict(groups.check.all)
    found = Detector.load(tmp_path / "int8.onnx", runtime=runtime).predict(groups.check.all)
    change = changes(expected.maps, found.maps).max()
    assert 1e-5 < change < 0.1
    assert found.threshold == 0.5 and found.scores.shape == (12,)


@pytest.mark.slow
def test_the_layers_that_change_most_stay_in_float32(model, groups, monkeypatch):
    """One layer's ranges are spoiled: it is found by measuring."""
    real = quantisers._ranges
    bad = "teacher/layer2/block0/conv1"

    def spoiled(content, images):
        ranges = real(content, images)
        for name in (bad, f"{bad}/relu"):
            values = ranges[name]
            low, high = (np.array(one * 0.02, np.float32) for one in values.range_value)
            ranges.data[name] = type(values)(lowest=low, highest=high)
        return ranges

    monkeypatch.setattr(quantisers, "_ranges", spoiled)
    made = make_int8(model, groups)
    about = made.about
    assert bad in about["float32"]
    assert list(about["sensitivity"])[-1] == bad
    assert about["num_int8"] + len(about["float32"]) == 38 and about["num_int8"] > 5
    assert about["check"]["num_good"] == about["check"]["num_drawn"] == 6
    assert about["num_calibration"] == {"good": 6, "drawn": 6}
    maps, _ = made.score(groups.check.all)
    expected, _ = made.score_float32(groups.check.all)
    assert about["check"]["map_change"] == changes(expected, maps).max() <= WRITTEN.map_change


def spoil(monkeypatch) -> None:
    """Makes ranges a thousandth of what they are, so that all values are cut off."""
    real = quantisers._ranges

    def spoiled(content, images):
        ranges = real(content, images)
        for name, values in ranges.data.items():
            low, high = (np.array(one * 0.001, np.float32) for one in values.range_value)
            ranges.data[name] = type(values)(lowest=low, highest=high)
        return ranges

    monkeypatch.setattr(quantisers, "_ranges", spoiled)


def test_spoiled_ranges_are_noticed_when_layers_are_chosen(model, groups, monkeypatch):
    spoil(monkeypatch)
    monkeypatch.setattr(module, "sensitivities", lambda q, *_: dict.fromkeys(q.convolutions, 0.0))
    with pytest.raises(BundleError) as caught:
        make_int8(model, groups)
    sentence = str(caught.value)
    assert "even one convolution in int8 answers too differently" in sentence
    assert "rank correlation" in sentence and "--precision float32" in sentence
    assert "\n" not in sentence


def test_a_bad_model_fails_the_check_on_other_images(model, groups, monkeypatch):
    spoil(monkeypatch)
    monkeypatch.setattr(module, "sensitivities", lambda q, *_: dict.fromkeys(q.convolutions, 0.0))
    monkeypatch.setattr(module, "choose", lambda _, __, order, *___: (order, None))
    with pytest.raises(BundleError, match=r"written: the int8 model .*on 6 good images and 6 with"):
        make_int8(model, groups)


def test_the_most_layers_within_the_limits_are_taken(quantiser, groups):
    """By bisection, on changes that grow with the number of layers."""
    expected = load_score(quantiser.model([]))(groups.choice.all)
    order = quantiser.convolutions

    def load(content: bytes):
        int8 = sum(node.name.endswith("kernel_DequantizeLinear") for node in operations(content))
        return lambda pixels: (expected[0] * (1 + 0.0021 * int8), expected[1])

    chosen, found = choose(quantiser, load, order, expected, groups.choice)
    assert chosen == order[: len(chosen)]
    assert found.map_change <= 0.03 < 0.0021 * (len(chosen) + 1)


def test_a_comparison_is_of_ranks_and_the_largest_change(groups):
    rng = np.random.default_rng(0)
    maps = rng.uniform(0.1, 1, (12, 4, 4)).astype(np.float32)
    scores = maps.max((1, 2))
    other = maps.copy()
    other[3, 1, 1] += 0.25 * scores[3]
    other_scores = scores[[1, 0, *range(2, 12)]]
    found = compare((maps, scores), lambda pixels: (other, other_scores), groups.check)
    assert found.map_change == pytest.approx(0.25, rel=1e-5)
    assert found.rank_all == pytest.approx(spearmanr(scores, other_scores)[0])
    assert found.rank_good == pytest.approx(spearmanr(scores[:6], other_scores[:6])[0])
    constant = compare((maps, scores), lambda pixels: (maps, np.ones(12)), groups.check)
    assert constant.rank_all == 0


def test_what_is_not_within_the_limits():
    good = Comparison(6, 6, WRITTEN.rank_good, WRITTEN.rank_all, WRITTEN.map_change)
    assert good.within(WRITTEN)
    for change in (
        {"rank_good": 0.94},
        {"rank_all": 0.97},
        {"map_change": 0.09},
        {"rank_all": float("nan")},
        {"map_change": float("nan")},
    ):
        assert not dataclasses.replace(good, **change).within(WRITTEN)


def test_a_threshold_follows_the_scores_of_the_same_images():
    rng = np.random.default_rng(0)
    scores = rng.gamma(5, 0.1, 200).astype(np.float32)
    int8 = (scores * 1.03).astype(np.float32)
    entry = {"threshold": 0.7, "pixel_threshold": 0.9, "method": "mean", "split": "folds"}
    entry["good_scores"] = [0.5, 0.7]
    found = shifted(entry, (scores, int8), (scores, (scores * 0.98).astype(np.float32)))
    assert found["threshold"] == pytest.approx(0.721) and np.float32(found["threshold"])
    assert found["threshold"] == float(np.float32(found["threshold"]))
    assert found["pixel_threshold"] == pytest.approx(0.882)
    assert found["int8"]["of_float32"] == 0.7 and found["int8"]["num_images"] == 200
    assert found["method"] == "mean" and found["split"] == "folds"
    assert found["good_scores"] == pytest.approx([0.515, 0.721])
    # The rate of false alarms stays, up to the spread of single images.
    noisy = scores * 1.03 * rng.normal(1, 0.01, 200)
    for target in (0.6, 0.8):
        value = shifted({"threshold": target}, (scores, noisy), (scores, noisy))["threshold"]
        assert abs(np.mean(noisy > value) - np.mean(scores > target)) <= 0.02
    given = {"threshold": 0.7, "method": "given"}
    assert shifted(given, (scores, int8), (scores, int8)) == given


def test_low_scores_do_not_move_a_threshold():
    scores = np.linspace(0.1, 1, 100).astype(np.float32)
    int8 = np.where(scores < 0.5, scores * 3, scores * 1.1)
    found = factor_of(scores, int8)
    assert (
        found["factor"] == pytest.approx(1.1) and found["low"] <= found["factor"] <= found["high"]
    )
