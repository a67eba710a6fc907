"""ONNX models of all backbones in ONNX Runtime against the Flax networks."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from narrow import narrow, scored

from rdvar_jax.errors import ConfigError
from rdvar_jax.models.image_size import height_width
from rdvar_jax.models.stfpm import PyramidStudent
from rdvar_jax.models.student import Student
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.scoring.pooling import pooled_on_host
from rdvar_jax.serving.onnx_graph import IR_VERSION, OPSET
from rdvar_jax.serving.onnx_network import INPUT, MAP, SCORE, build_onnx
from rdvar_jax.serving.program import folded_weights
from rdvar_jax.weights.architectures import ARCHITECTURES, IMAGENET_WIDTH


def run(model: bytes, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    maps, scores = session.run([MAP, SCORE], {INPUT: images})
    return maps, scores


def check_backbone(arch: str, width: int, size: int | tuple[int, int], count: int) -> None:
    teacher, student, *variables = narrow(arch, width, size)
    shape = (count, *height_width(size), 3)
    images = np.random.default_rng(6).integers(0, 256, shape, dtype=np.uint8)
    model = build_onnx(arch, folded_weights(*variables), size, SIGMA, {})
    maps, scores = run(model, images)
    expected_maps, expected_scores = scored(teacher, student, *variables, images)
    assert maps.dtype == scores.dtype == np.float32
    np.testing.assert_allclose(maps, expected_maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
    assert np.ptp(scores) > 1e-3 * scores.max()  # a score that knows nothing would pass above


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_both_kinds_of_block(arch):
    check_backbone(arch, width=4, size=32, count=2)


def test_images_that_are_not_square():
    check_backbone("resnet18", width=4, size=(32, 64), count=2)


@pytest.mark.parametrize(
    ("size", "sigma"), [((32, 64), 0.0), pytest.param(32, 2.0, marks=pytest.mark.slow)]
)
def test_stfpms_product_of_maps(size, sigma):
    teacher, student, *variables = narrow("resnet18", 4, size, PyramidStudent)
    shape = (3, *height_width(size), 3)
    images = np.random.default_rng(6).integers(0, 256, shape, dtype=np.uint8)
    weights = folded_weights(*variables)
    model = build_onnx("resnet18", weights, size, sigma, {}, student=PyramidStudent)
    maps, scores = run(model, images)
    expected_maps, expected_scores = scored(teacher, student, *variables, images, sigma)
    np.testing.assert_allclose(maps, expected_maps, rtol=1e-4)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
    assert np.ptp(scores) > 1e-3 * scores.max()


def test_a_student_without_onnx_form_is_refused():
    class Own(Student):
        pass

    _, _, *variables = narrow("resnet18", 4, 32)
    with pytest.raises(ConfigError, match="Own cannot be written as an ONNX model; use --format"):
        build_onnx("resnet18", folded_weights(*variables), 32, SIGMA, {}, student=Own)


@pytest.mark.parametrize("pooling", [0.01, pytest.param(1.0, marks=pytest.mark.slow)])
def test_scores_are_means_of_the_highest_pixels(pooling):
    _, _, *variables = narrow("resnet18", 4, 32)
    model = build_onnx("resnet18", folded_weights(*variables), 32, SIGMA, {}, pooling)
    images = np.random.default_rng(6).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    maps, scores = run(model, images)
    np.testing.assert_allclose(scores, pooled_on_host(maps, pooling), rtol=1e-6)
    assert scores.shape == (3,) and np.ptp(scores) > 0


# Each kind of block once among the slow tests, the other depths at night.
@pytest.mark.slow
@pytest.mark.parametrize(
    "arch",
    [
        pytest.param(arch, marks=() if arch in ("resnet18", "resnet50") else pytest.mark.nightly)
        for arch in sorted(ARCHITECTURES)
    ],
)
def test_every_backbone_at_full_width(arch):
    check_backbone(arch, IMAGENET_WIDTH, size=64, count=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    _, _, *variables = narrow("resnet18", 4, 64)
    weights = folded_weights(*variables)
    return build_onnx("resnet18", weights, 64, 2.0, {"note": json.dumps({"threshold": 0.25})})


@pytest.mark.parametrize("pooling", [pytest.param("max", marks=pytest.mark.slow), 0.05])
def test_ignored_pixels_do_not_count(pooling):
    _, _, *variables = narrow("resnet18", 4, 32)
    weights = folded_weights(*variables)
    images = np.random.default_rng(6).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    maps, _ = run(build_onnx("resnet18", weights, 32, SIGMA, {}), images)
    ignored = maps[0] > np.quantile(maps[0], 0.5)
    model = build_onnx("resnet18", weights, 32, SIGMA, {}, pooling, ignored)
    found_maps, scores = run(model, images)
    np.testing.assert_array_equal(found_maps, np.where(ignored, 0, maps))
    np.testing.assert_allclose(scores, pooled_on_host(maps, pooling, ignored), rtol=1e-6)


def test_any_number_of_images(model):
    images = np.random.default_rng(6).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)
    maps, scores = run(model, images)
    assert maps.shape == (7, 64, 64) and scores.shape == (7,)
    assert np.array_equal(maps.max(axis=(1, 2)), scores)
    for index in (0, 6):
        one_map, one_score = run(model, images[index : index + 1])
        np.testing.assert_allclose(one_map[0], maps[index], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(one_score[0], scores[index], rtol=1e-5)


def test_the_model_says_what_it_is(model):
    loaded = onnx.load_from_string(model)
    assert [(entry.domain, entry.version) for entry in loaded.opset_import] == [("", OPSET)]
    assert loaded.ir_version == IR_VERSION
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("images", "tensor(uint8)", ["B", 64, 64, 3])
    assert [(out.name, out.type, out.shape) for out in session.get_outputs()] == [
        ("maps", "tensor(float)", ["B", 64, 64]),
        ("scores", "tensor(float)", ["B"]),
    ]
    assert session.get_modelmeta().custom_metadata_map == {"note": '{"threshold": 0.25}'}


def test_the_same_run_gives_the_same_bytes(model):
    _, _, *variables = narrow("resnet18", 4, 64)
    again = build_onnx(
        "resnet18", folded_weights(*variables), 64, 2.0, {"note": '{"threshold": 0.25}'}
    )
    assert again == model
