"""The library against PyTorch's numbers in the golden files; torch is not needed.

The files hold float64 results, rounded to float32. Differences are relative to the largest element
(`differences.py`). Train steps are compared in float64, where every parameter must agree, and in
float32, where Adam turns the rounding of a gradient near zero into a step of its own size: there
the bulk of the parameters counts.
"""

from functools import cache

import numpy as np
import pytest
from differences import assert_close, named, update_errors
from golden_files import SHALLOW, Golden, like_sampled, read_golden
from library_model import LAYERS, LEARNING_RATE, golden_model, loss_quantities
from scipy.ndimage import gaussian_filter

from rdvar_jax.training.losses import STAGES

# Compiling takes the time here, so by default shallow networks of each block type are compared, and
# in the slow half the published depths.
SLOW = pytest.mark.slow
DEEP = ("resnet18", "resnet50", "wide_resnet50_2")
NETWORKS = (*SHALLOW, *(pytest.param(arch, marks=SLOW) for arch in DEEP))

# What float32 may differ by from float64: several times what it does differ by.
FORWARD_TOLERANCES = {
    "teacher": 2e-6,
    "embedding/eval": 2e-6,
    "decoder/eval": 2e-6,
    "embedding/train": 1e-5,
    "decoder/train": 1e-5,
    "maps": 2e-6,
    "scores": 2e-6,
}
LOSS_TOLERANCE = 2e-6
LOSS_VAR_TOLERANCE = 5e-5  # the rounding of 1 - cos, beside the small L_var of similar images
GRADIENT_TOLERANCE = 1e-4
STATISTICS_TOLERANCE = 1e-5
# In units of the learning rate. 2e-5 is the rounding of the parameters themselves.
UPDATE_TOLERANCES = {"median": 1e-4, "99 %": 1e-3}
# On an Intel CPU one of ResNet-50's two trainings has 7e-4 and 2e-2 with AVX-512, and 2e-5 and 1e-4
# with AVX2 alone, like the other training with both: probably a value next to a ReLU's kink falls
# on either side by rounding. In float64 all agree.
WIDE_UPDATE_TOLERANCES = {"resnet50": {"median": 2e-3, "99 %": 5e-2}}
# One scale's gradient in the last block is off by 1.2e-4 on an AMD CPU with AVX2.
WIDE_GRADIENT_TOLERANCES = {"resnet50": 5e-4}

# The golden values' own rounding is up to 6e-8.
DOUBLE_TOLERANCE = 2e-7


@cache
def forward_of(arch: str) -> dict:
    return golden_model(arch).forward(read_golden(arch).batches[0])


def steps_of(arch: str, dtype: type) -> dict:
    golden = read_golden(arch)
    losses = {label: golden.losses[label] for label in golden.steps}
    return sampled(golden_model(arch).steps(golden.batches, losses, dtype), golden)


def sampled(quantities: dict, golden: Golden) -> dict:
    return {name: like_sampled(value, golden.values[name]) for name, value in quantities.items()}


@pytest.mark.parametrize("prefix", FORWARD_TOLERANCES)
@pytest.mark.parametrize("arch", NETWORKS)
def test_features_maps_and_scores(arch, prefix):
    expected = named(read_golden(arch).values, prefix)
    assert_close(named(forward_of(arch), prefix), expected, FORWARD_TOLERANCES[prefix])


@pytest.mark.parametrize("arch", (*SHALLOW, *DEEP))
def test_the_golden_blur_is_scipys(arch):
    values = read_golden(arch).values
    blurred = [gaussian_filter(map_, sigma=4) for map_ in values["unblurred"].astype(np.float64)]
    assert_close({"maps": blurred}, {"maps": values["maps"]}, DOUBLE_TOLERANCE)


def test_losses_and_their_gradients_at_the_features():
    golden = read_golden("basic")
    teacher = [golden.values[f"teacher/{layer}"] for layer in LAYERS]
    student = [golden.values[f"decoder/train/{stage}"] for stage in STAGES]
    ours = sampled(loss_quantities(teacher, student, golden.losses), golden)
    for prefix in ("loss/", "feature_gradient/"):
        assert_losses_close(named(ours, prefix), named(golden.values, prefix))


@pytest.mark.parametrize("arch", NETWORKS)
def test_three_steps_in_float64(arch):
    values = read_golden(arch).values
    ours = steps_of(arch, np.float64)
    for prefix in ("gradient/", "steps/"):
        assert_close(named(ours, prefix), named(values, prefix), DOUBLE_TOLERANCE)


# After three steps through bottlenecks the statistics, too, show where float32 strayed: by 1.5e-3
# in wide_resnet50_2 on one processor, where float64 agrees to `DOUBLE_TOLERANCE`.
@pytest.mark.parametrize(
    ("arch", "statistics_tolerance"),
    [
        ("basic", STATISTICS_TOLERANCE),
        ("bottleneck", 1e-3),
        ("wide_bottleneck", 1e-3),
        pytest.param("resnet18", STATISTICS_TOLERANCE, marks=SLOW),
        pytest.param("resnet50", 1e-3, marks=SLOW),
        pytest.param("wide_resnet50_2", 5e-3, marks=SLOW),
    ],
)
def test_three_steps_in_float32(arch, statistics_tolerance):
    update_tolerances = WIDE_UPDATE_TOLERANCES.get(arch, UPDATE_TOLERANCES)
    values = read_golden(arch).values
    ours = steps_of(arch, np.float32)
    gradient_tolerance = WIDE_GRADIENT_TOLERANCES.get(arch, GRADIENT_TOLERANCE)
    assert_close(named(ours, "gradient/"), named(values, "gradient/"), gradient_tolerance)
    for label in read_golden(arch).steps:
        prefix = f"steps/{label}"
        assert_losses_close(named(ours, f"{prefix}/loss"), named(values, f"{prefix}/loss"))
        expected = named(values, f"{prefix}/statistics")
        assert_close(named(ours, f"{prefix}/statistics"), expected, statistics_tolerance)
        errors = update_errors(ours, named(values, f"{prefix}/update"), LEARNING_RATE)
        assert all(errors[part] <= bound for part, bound in update_tolerances.items()), errors


def assert_losses_close(ours: dict, expected: dict) -> None:
    small = {name for name in expected if name.endswith("/loss_var")}
    for names, tolerance in (
        (expected.keys() - small, LOSS_TOLERANCE),
        (small, LOSS_VAR_TOLERANCE),
    ):
        if names:
            chosen = {name: ours[name] for name in names}
            assert_close(chosen, {name: expected[name] for name in names}, tolerance)
