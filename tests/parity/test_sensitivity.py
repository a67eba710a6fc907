"""Deliberate mistakes: each must fail the comparison with the golden files by far.

The right way passes in `test_golden.py`, whose tolerances are at most 1e-5 for these quantities.
"""

import dataclasses

import jax
import numpy as np
import pytest
from differences import difference
from golden_files import read_golden
from library_model import COMPILER_OPTIONS, LAYERS, golden_model
from student_names import student_from_torch

from rdvar_jax.errors import WeightsError
from rdvar_jax.models import blocks
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.models.layers import Conv
from rdvar_jax.models.student import Student
from rdvar_jax.models.teacher import normalise
from rdvar_jax.scoring import maps as anomaly_map
from rdvar_jax.training.losses import STAGES

ARCH = "bottleneck"
VISIBLE = 1e-2  # a thousand times the largest of those tolerances


def off(name: str, ours) -> float:
    return difference(name, ours, read_golden(ARCH).values[name]).relative


def forward(images=None, student_variables=None) -> dict:
    images = read_golden(ARCH).batches[0] if images is None else images
    return golden_model(ARCH).forward(images, student_variables)


def with_kernel(change, *path: str) -> dict:
    """The student's variables with one kernel changed."""
    variables = jax.tree.map(np.array, golden_model(ARCH).student_variables)
    kernel = variables["params"]
    for part in path:
        kernel = kernel[part]
    kernel["kernel"] = change(kernel["kernel"])
    return variables


@pytest.mark.parametrize("name", ["upsample_deconv", "conv2"])
def test_flipped_deconvolution_kernel(name):
    variables = with_kernel(lambda k: k[::-1, ::-1], "decoder", "layer1", "block0", name)
    assert off("decoder/eval/d3", forward(student_variables=variables)["decoder/eval/d3"]) > VISIBLE


@pytest.mark.parametrize("name", ["conv1", "downsample_conv"])
def test_swapped_concatenation(name):
    def swap(kernel):  # the same as another order of what is concatenated
        first, second, third = np.split(kernel, 3, axis=2)
        return np.concatenate([second, first, third], axis=2)

    variables = with_kernel(swap, "ocbe", "bn_layer", "block0", name)
    assert off("embedding/eval", forward(student_variables=variables)["embedding/eval"]) > VISIBLE


def test_stride_on_the_first_1x1(monkeypatch):
    def at_every_other_pixel(x, features, resample, name):
        # What is before the 3x3 acts on single pixels, so it does not matter which comes first.
        assert resample in ("down", "none")
        return Conv(features, 3, name=name)(x[:, ::2, ::2] if resample == "down" else x)

    model, images = golden_model(ARCH), read_golden(ARCH).batches[0]

    @jax.jit(compiler_options=COMPILER_OPTIONS)
    def features(variables, images):
        return model.teacher.apply(variables, normalise(images))

    monkeypatch.setattr(blocks, "_resampling_conv", at_every_other_pixel)
    f1, f2, _ = features(model.teacher_variables, images)
    assert off("teacher/layer1", np.moveaxis(f1, 3, 1)) < 1e-5
    assert off("teacher/layer2", np.moveaxis(f2, 3, 1)) > VISIBLE


def test_mirrored_block_counts():
    golden = read_golden(ARCH)
    counts = golden.architecture.stage_blocks
    mirrored = dataclasses.replace(golden.architecture, stage_blocks=counts[::-1])
    assert mirrored != golden.architecture
    features = [np.moveaxis(golden.values[f"teacher/{name}"], 1, 3) for name in LAYERS]
    expected = abstract_variables(Student(mirrored, golden.stem_width), features, train=False)
    with pytest.raises(WeightsError, match="missing.*unknown"):
        student_from_torch(golden.weights, expected)


@pytest.mark.parametrize("align_corners", [True, False])
def test_half_pixel_upsampling(monkeypatch, align_corners):
    def half_pixel(size_out, size_in):
        rows = jax.image.resize(np.eye(size_in), (size_out, size_in), "linear")
        return np.asarray(rows, np.float64)

    values = read_golden(ARCH).values
    teacher, student = (
        [np.moveaxis(values[f"{prefix}/{name}"], 1, 3) for name in names]
        for prefix, names in (("teacher", LAYERS), ("decoder/eval", STAGES))
    )
    if not align_corners:
        monkeypatch.setattr(anomaly_map, "upsampling_matrix", half_pixel)
    matrices = anomaly_map.map_matrices(64, [feature.shape[1] for feature in teacher])
    wrong = off("maps", anomaly_map.anomaly_maps(teacher, student, matrices))
    assert wrong < 1e-5 if align_corners else wrong > VISIBLE


def test_other_channel_order():
    images = read_golden(ARCH).batches[0][..., ::-1]
    assert off("teacher/layer1", forward(images)["teacher/layer1"]) > VISIBLE
