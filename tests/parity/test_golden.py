"""The library against PyTorch's numbers in the golden files; torch is not needed.

The files hold float64 results, rounded to float32 (relative 6e-8). Relative differences are those
of `differences.py`. Three steps are compared in float64, where every parameter agrees; in float32
Adam turns the rounding of a gradient near zero into a step of its own size, so after three steps
the bulk of the parameters says more than the worst one.
"""

from functools import cache

import jax
import numpy as np
import pytest
from differences import assert_close, named
from golden_files import Golden, like_sampled, read_golden
from library_model import LAYERS, LEARNING_RATE, LibraryModel, double_precision, loss_quantities
from scipy.ndimage import gaussian_filter

from rdvar_jax.training.losses import STAGES

ARCHS = ("resnet18", "resnet50", "wide_resnet50_2")

# What float32 may differ by, as a part of the largest element.
FORWARD_TOLERANCES = {
    "teacher": 2e-6,
    "embedding/eval": 2e-6,
    "decoder/eval": 3e-6,
    "embedding/train": 1e-5,
    "decoder/train": 2e-5,
    "maps": 2e-6,
    "scores": 2e-6,
}
LOSS_TOLERANCE = 1e-6
STEP_LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
STATISTICS_TOLERANCE = 1e-5
# Root mean square over all parameters, as a part of the learning rate, after three steps.
UPDATE_TOLERANCE = 1e-4

# The golden values' own rounding, with a margin.
DOUBLE_TOLERANCE = 2e-7


@pytest.fixture(autouse=True)
def highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


@cache
def golden_of(arch: str) -> Golden:
    return read_golden(arch)


@cache
def model_of(arch: str) -> LibraryModel:
    golden = golden_of(arch)
    size = golden.batches[0].shape[1]
    return LibraryModel(arch, golden.stem_width, size, golden.weights)


@cache
def forward_of(arch: str) -> dict:
    return model_of(arch).forward(golden_of(arch).batches[0])


@pytest.mark.parametrize("prefix", FORWARD_TOLERANCES)
@pytest.mark.parametrize("arch", ARCHS)
def test_features_maps_and_scores(arch, prefix):
    expected = named(golden_of(arch).values, prefix)
    assert_close(named(forward_of(arch), prefix), expected, FORWARD_TOLERANCES[prefix])


@pytest.mark.parametrize("arch", ARCHS)
def test_the_golden_blur_is_scipys(arch):
    values = golden_of(arch).values
    blurred = [gaussian_filter(map_, sigma=4) for map_ in values["unblurred"].astype(np.float64)]
    assert_close({"maps": blurred}, {"maps": values["maps"]}, DOUBLE_TOLERANCE)


def test_losses_and_their_gradients_at_the_features():
    golden = golden_of("resnet18")
    teacher = [golden.values[f"teacher/{layer}"] for layer in LAYERS]
    student = [golden.values[f"decoder/train/{stage}"] for stage in STAGES]
    ours = sampled(loss_quantities(teacher, student, golden.losses), golden)
    for prefix in ("loss/", "feature_gradient/"):
        assert_close(named(ours, prefix), named(golden.values, prefix), LOSS_TOLERANCE)


@pytest.mark.parametrize(
    "arch",
    [
        "resnet18",
        pytest.param("resnet50", marks=pytest.mark.slow),
        "wide_resnet50_2",
    ],
)
def test_three_steps_in_float64(arch):
    golden = golden_of(arch)
    model = model_of(arch)
    with double_precision():
        ours = model.steps(golden.batches, {name: golden.losses[name] for name in golden.steps})
    ours = sampled(ours, golden)
    for prefix in ("gradient/", "steps/"):
        assert_close(named(ours, prefix), named(golden.values, prefix), DOUBLE_TOLERANCE)


@pytest.mark.parametrize(
    "arch",
    [
        "resnet18",
        pytest.param("resnet50", marks=pytest.mark.slow),
        pytest.param("wide_resnet50_2", marks=pytest.mark.slow),
    ],
)
def test_three_steps_in_float32(arch):
    golden = golden_of(arch)
    ours = model_of(arch).steps(
        golden.batches, {name: golden.losses[name] for name in golden.steps}
    )
    ours = sampled(ours, golden)
    assert_close(named(ours, "gradient/"), named(golden.values, "gradient/"), GRADIENT_TOLERANCE)
    for label in golden.steps:
        prefix = f"steps/{label}"
        expected = named(golden.values, f"{prefix}/losses")
        assert_close(named(ours, f"{prefix}/losses"), expected, STEP_LOSS_TOLERANCE)
        expected = named(golden.values, f"{prefix}/statistics")
        assert_close(named(ours, f"{prefix}/statistics"), expected, STATISTICS_TOLERANCE)
        errors = np.concatenate(
            [
                np.abs(ours[name] - value).ravel() / LEARNING_RATE
                for name, value in named(golden.values, f"{prefix}/update").items()
            ]
        )
        assert np.sqrt(np.mean(errors**2)) < UPDATE_TOLERANCE


def sampled(quantities: dict, golden: Golden) -> dict:
    return {name: like_sampled(value, golden.values[name]) for name, value in quantities.items()}
