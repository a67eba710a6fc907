import numpy as np
import pytest
from golden_files import read_golden
from rd4ad_files import STEPS, rd4ad_states, write_states

from rdvar_jax.errors import WeightsError
from rdvar_jax.models.build import build_student, feature_shapes
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.weights.rd4ad import read_rd4ad, student_to_rd4ad, with_unused

ARCHS = ("resnet18", "resnet50", "wide_resnet50_2")
UNUSED = ("conv4.", "bn4.")


def expected_of(arch: str) -> dict:
    width = read_golden(arch).stem_width
    student = build_student(arch, width)
    return abstract_variables(student, feature_shapes(arch, width, 64), train=False)


def read(tmp_path, states, arch="resnet18", form="zip"):
    return read_rd4ad(write_states(tmp_path / "c.pth", states, form), expected_of(arch))


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("arch", ARCHS)
def test_round_trip_is_bit_equal(tmp_path, arch, form):
    states = rd4ad_states(read_golden(arch))
    found = read(tmp_path, states, arch, form)
    assert found.step == STEPS
    back = with_unused(student_to_rd4ad(found.variables), found.step)
    for part, tensors in states.items():
        assert set(back[part]) == set(tensors)
        for name, want in tensors.items():
            got = back[part][name]
            assert got.shape == want.shape and got.dtype == want.dtype
            if not name.startswith("conv4."):
                assert got.tobytes() == np.ascontiguousarray(want).tobytes(), name
    assert not back["bn"]["conv4.weight"].any()


def test_layouts(tmp_path):
    states = rd4ad_states(read_golden("resnet18"))
    params = read(tmp_path, states).variables["params"]
    conv = params["ocbe"]["conv1"]["kernel"]  # [kh, kw, I, O]
    np.testing.assert_array_equal(conv[0, 2, 1, 3], states["bn"]["conv1.weight"][3, 1, 0, 2])
    deconv = params["decoder"]["layer2"]["block0"]["conv1"]["kernel"]
    theirs = states["decoder"]["layer2.0.conv1.weight"]  # [I, O, kh, kw]
    np.testing.assert_array_equal(deconv[0, 1, 5, 3], theirs[5, 3, 0, 1])


def test_the_unused_convolution_may_be_missing(tmp_path):
    states = rd4ad_states(read_golden("resnet18"))
    states["bn"] = {k: v for k, v in states["bn"].items() if not k.startswith(UNUSED)}
    assert read(tmp_path, states).step == STEPS


def test_without_counters_the_step_is_0(tmp_path):
    states = {
        part: {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
        for part, tensors in rd4ad_states(read_golden("resnet18")).items()
    }
    assert read(tmp_path, states).step == 0


def remove(part, name):
    return lambda states: states[part].pop(name)


def put(part, name, value):
    return lambda states: states[part].update({name: np.asarray(value)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("bn", "conv3.weight"), "(bn) .*1 missing (conv3.weight)"),
        (remove("decoder", "layer2.1.bn2.running_var"), "1 missing (layer2.1.bn2.running_var)"),
        (put("bn", "conv5.weight", np.zeros((2, 2, 1, 1))), "1 unknown (conv5.weight)"),
        (put("decoder", "conv4.weight", np.zeros(2)), "(decoder) .*1 unknown (conv4.weight)"),
        (put("bn", "layer4.0.conv1.weight", np.zeros(2)), "1 unknown (layer4.0.conv1.weight)"),
        (put("bn", "bn9.num_batches_tracked", 3), "bn9.num_batches_tracked without a batch"),
        (put("bn", "bn1.num_batches_tracked", -3), "bn1.num_batches_tracked that is not a count"),
        (put("bn", "bn1.num_batches_tracked", 0.5), "bn1.num_batches_tracked that is not a count"),
        (
            put("bn", "bn1.num_batches_tracked", 2**40),
            "bn1.num_batches_tracked that is not a count",
        ),
        (put("bn", "bn1.weight", np.zeros(3, np.float32)), "bn1.weight is [3] instead of [8]"),
        (lambda states: states.pop("decoder"), "lacks 'decoder'"),
        (lambda states: states.update(memory={}), "unknown entries (memory)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, words):
    states = rd4ad_states(read_golden("resnet18"))
    change(states)
    with pytest.raises(WeightsError) as caught:
        read(tmp_path, states)
    place = 0
    for word in words.split(".*"):
        place = str(caught.value).index(word, place)
    assert "c.pth" in str(caught.value) and "; " in str(caught.value)


def test_another_architecture_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="does not fit the model"):
        read(tmp_path, rd4ad_states(read_golden("resnet18")), "resnet50")
