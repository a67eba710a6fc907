from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from resnet_shapes import NETWORKS, empty_tensors, random_tensors, torch_shapes

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.architectures import architecture_of_shapes
from rdvar_jax.weights.name_map import flax_path, to_flax, to_torch, torch_name


@dataclass(frozen=True)
class Leaf:
    shape: tuple[int, ...]
    dtype: Any = np.float32


PAIRS = {
    "conv1.weight": "params/conv1/kernel",
    "bn1.weight": "params/bn1/scale",
    "bn1.bias": "params/bn1/bias",
    "bn1.running_mean": "batch_stats/bn1/mean",
    "bn1.running_var": "batch_stats/bn1/var",
    "layer1.0.conv1.weight": "params/layer1/block0/conv1/kernel",
    "layer3.22.bn3.running_var": "batch_stats/layer3/block22/bn3/var",
    "layer2.0.downsample.0.weight": "params/layer2/block0/downsample_conv/kernel",
    "layer2.0.downsample.1.weight": "params/layer2/block0/downsample_bn/scale",
    "layer2.0.downsample.1.running_mean": "batch_stats/layer2/block0/downsample_bn/mean",
    "layer1.0.upsample.0.weight": "params/layer1/block0/upsample_deconv/kernel",
    "layer1.0.upsample.1.bias": "params/layer1/block0/upsample_bn/bias",
    "bn_layer.2.conv3.weight": "params/bn_layer/block2/conv3/kernel",
    "bn_layer.0.bn1.running_mean": "batch_stats/bn_layer/block0/bn1/mean",
    "fc.bias": "params/fc/bias",
}


@pytest.mark.parametrize(("theirs", "ours"), PAIRS.items())
def test_names_both_ways(theirs, ours):
    assert flax_path(theirs) == tuple(ours.split("/"))
    assert torch_name(tuple(ours.split("/"))) == theirs


@pytest.mark.parametrize(
    "name",
    [
        "weight",
        "",
        "conv1.running_mean",
        "bn1.num_batches_tracked",
        "bn1.kernel",
        "layer1.block0.conv1.weight",
        "layer1.0.downsample_conv.weight",
    ],
)
def test_names_outside_the_rule(name):
    with pytest.raises(ValueError, match="not the name of a weight"):
        flax_path(name)


@pytest.mark.parametrize(
    "path",
    [
        ("params", "kernel"),
        ("params", "conv1", "scale"),
        ("batch_stats", "conv1", "mean"),
        ("params", "bn1", "mean"),
        ("params", "layer1", "0", "conv1", "kernel"),
        ("other", "conv1", "kernel"),
    ],
)
def test_paths_outside_the_rule(path):
    with pytest.raises(ValueError, match="has no name"):
        torch_name(path)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *parts, last = path.split("/")
        place = tree
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = leaf
    return tree


def expected_for(arch: str) -> dict[str, Any]:
    shapes = torch_shapes(arch)
    return nested(
        {
            "/".join(flax_path(name)): Leaf(
                (shape[2], shape[3], shape[1], shape[0]) if len(shape) == 4 else shape
            )
            for name, shape in shapes.items()
            if not name.endswith("num_batches_tracked")
        }
    )


# A miniature with a convolution, a transposed one and both kinds of shortcut, written out by hand.
EXPECTED = {
    "params/conv1/kernel": Leaf((7, 5, 3, 2)),
    "params/bn1/scale": Leaf((2,)),
    "params/bn1/bias": Leaf((2,)),
    "batch_stats/bn1/mean": Leaf((2,)),
    "batch_stats/bn1/var": Leaf((2,)),
    "params/layer1/block0/conv2/kernel": Leaf((2, 3, 4, 6)),
    "params/layer1/block0/downsample_conv/kernel": Leaf((1, 1, 2, 4)),
    "params/layer1/block0/upsample_deconv/kernel": Leaf((2, 2, 4, 5)),
    "params/layer1/block0/upsample_bn/scale": Leaf((5,)),
}
TORCH_SHAPES = {
    "conv1.weight": (2, 3, 7, 5),
    "bn1.weight": (2,),
    "bn1.bias": (2,),
    "bn1.running_mean": (2,),
    "bn1.running_var": (2,),
    "layer1.0.conv2.weight": (4, 6, 2, 3),
    "layer1.0.downsample.0.weight": (4, 2, 1, 1),
    "layer1.0.upsample.0.weight": (4, 5, 2, 2),
    "layer1.0.upsample.1.weight": (5,),
}
DECONV_NAMES = {"layer1.0.conv2.weight", "layer1.0.upsample.0.weight"}
DECONV_PATHS = {
    ("params", "layer1", "block0", "conv2", "kernel"),
    ("params", "layer1", "block0", "upsample_deconv", "kernel"),
}


def miniature() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        name: rng.uniform(0.1, 1, shape).astype(np.float32) for name, shape in TORCH_SHAPES.items()
    }


def convert(tensors: dict[str, np.ndarray], **options: Any) -> dict[str, Any]:
    options = {"source": "a.pth", "deconv_names": DECONV_NAMES} | options
    return to_flax(tensors, nested(EXPECTED), **options)


def refused(tensors: dict[str, np.ndarray], **options: Any) -> str:
    with pytest.raises(WeightsError) as caught:
        convert(tensors, **options)
    message = str(caught.value)
    assert message.startswith("a.pth") and ";" in message
    assert "\n" not in message and message.isprintable()
    return message


def test_layouts():
    tensors = miniature()
    tree = convert(tensors)
    theirs = tensors["conv1.weight"]
    ours = tree["params"]["conv1"]["kernel"]
    assert ours.shape == (7, 5, 3, 2)
    for (o, i, h, w), value in np.ndenumerate(theirs):
        assert ours[h, w, i, o] == value
    for name, module in (
        ("layer1.0.conv2.weight", "conv2"),
        ("layer1.0.upsample.0.weight", "upsample_deconv"),
    ):
        ours = tree["params"]["layer1"]["block0"][module]["kernel"]
        for (i, o, h, w), value in np.ndenumerate(tensors[name]):
            assert ours[h, w, i, o] == value
    assert tree["batch_stats"]["bn1"]["var"].tolist() == tensors["bn1.running_var"].tolist()
    assert tree["batch_stats"]["bn1"]["mean"].tolist() == tensors["bn1.running_mean"].tolist()
    assert tree["params"]["bn1"]["scale"].tolist() == tensors["bn1.weight"].tolist()


def test_there_and_back_is_bit_equal():
    tensors = miniature()
    tensors["bn1.bias"][:] = [-0.0, 1e-45]
    back = to_torch(convert(tensors), DECONV_PATHS)
    assert set(back) == set(tensors)
    for name, want in tensors.items():
        assert back[name].dtype == np.float32 and back[name].shape == want.shape
        assert back[name].tobytes() == want.tobytes()


def test_arrays_are_new_float32():
    tensors: dict[str, np.ndarray] = miniature()
    tensors["bn1.bias"] = np.array([0.5, 0.1])
    tensors["bn1.weight"] = np.array([0.5, 0.25], np.float16)
    tensors["conv1.weight"].flags.writeable = False
    tree = convert(tensors)
    assert tree["params"]["bn1"]["bias"].tolist() == [0.5, np.float32(0.1)]
    for array in (tree["params"]["bn1"]["scale"], tree["params"]["conv1"]["kernel"]):
        assert array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable
    tree["params"]["bn1"]["bias"][:] = 3
    assert tensors["bn1.bias"].tolist() == [0.5, 0.1]


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_a_whole_network_there_and_back(arch):
    tensors = {
        name: array for name, array in empty_tensors(arch).items() if not name.endswith("_tracked")
    }
    tree = to_flax(empty_tensors(arch), expected_for(arch), source="a.pth")
    assert set(tree) == {"params", "batch_stats"}
    assert {name: array.shape for name, array in to_torch(tree).items()} == {
        name: array.shape for name, array in tensors.items()
    }


def test_counters_layer4_and_fc_are_ignored():
    extra = {"bn1.num_batches_tracked", "layer4.0.conv1.weight", "fc.weight", "fc.bias"}
    convert(miniature() | {name: np.ones(1) for name in extra})
    assert "unknown (layer4.0.conv1.weight)" in refused(
        miniature() | {"layer4.0.conv1.weight": np.ones(1)}, ignore_prefixes=("fc.",)
    )
    convert(miniature() | {"conv4.weight": np.ones(1)}, ignore_prefixes=("conv4.", "bn4."))


def test_missing_and_unknown_are_named():
    tensors = miniature()
    del tensors["bn1.running_var"], tensors["layer1.0.downsample.0.weight"]
    for name in ("layer5.weight", "conv1.bias", "classifier.weight", "head.weight", "a\nb"):
        tensors[name] = np.ones(1, np.float32)
    message = refused(tensors)
    assert "2 missing (layer1.0.downsample.0.weight, bn1.running_var)" in message
    assert "5 unknown (layer5.weight, conv1.bias, classifier.weight and 2 more)" in message


@pytest.mark.parametrize("name", TORCH_SHAPES)
def test_every_leaf_must_be_there_with_its_shape(name):
    tensors = miniature()
    shape = TORCH_SHAPES[name]
    for other in (shape[::-1] + (1,), shape[:-1], ()):
        message = refused(tensors | {name: np.ones(other, np.float32)})
        assert f"{name} is {list(other)} instead of {list(shape)}" in message
    del tensors[name]
    assert f"1 missing ({name})" in refused(tensors)


def test_a_deconv_taken_for_a_convolution_is_noticed():
    assert "of another shape" in refused(miniature(), deconv_names=set())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_must_be_finite(value):
    tensors: dict[str, np.ndarray] = miniature()
    tensors["bn1.bias"] = np.array([0.5, value])
    assert "1 values in bn1.bias that are not finite" in refused(tensors)


def test_values_must_be_floats_and_variances_positive():
    assert "int64" in refused(miniature() | {"bn1.bias": np.array([1, 2])})
    assert "bool" in refused(miniature() | {"bn1.bias": np.array([True, False])})
    negative = {"bn1.running_var": np.array([1, -0.5], np.float32)}
    assert "negative variances" in refused(miniature() | negative)


def guess(tensors):
    return architecture_of_shapes({name: tensor.shape for name, tensor in tensors.items()})


@pytest.mark.parametrize("arch", NETWORKS)
def test_architectures_are_recognised(arch):
    tensors = empty_tensors(arch)
    assert guess(tensors) == arch
    more = {"layer4.0.conv1.weight": np.ones(1), "fc.weight": np.ones(1)}
    assert guess(tensors | more) == arch


def test_other_networks_are_not_recognised():
    tensors = empty_tensors("resnet50")
    grouped = np.broadcast_to(np.float32(0), (128, 4, 3, 3))
    assert guess(tensors | {"layer1.0.conv2.weight": grouped}) is None
    assert guess(miniature()) is None
    assert guess({}) is None
    assert guess({"conv1.weight": tensors["conv1.weight"]}) is None
    decoder = {name: array for name, array in tensors.items() if name != "conv1.weight"}
    assert guess(decoder) is None
    without = {name: array for name, array in tensors.items() if not name.startswith("layer2.1.")}
    assert guess(without) is None


@pytest.mark.parametrize(
    ("given", "asked"),
    [(given, asked) for given in NETWORKS for asked in NETWORKS if given != asked],
)
def test_another_architecture_is_named(given, asked):
    with pytest.raises(WeightsError) as caught:
        to_flax(empty_tensors(given), expected_for(asked), source="a.pth")
    message = str(caught.value)
    assert f"a.pth holds the weights of {given}, but the teacher is {asked}" in message
    assert f"teacher.weights to a file for {asked}" in message
    assert ("teacher.arch to" in message) == (given != "resnet101")


def test_random_resnet18_there_and_back():
    tensors = random_tensors("resnet18", seed=3)
    back = to_torch(to_flax(tensors, expected_for("resnet18"), source="a.pth"))
    for name, array in back.items():
        assert array.tobytes() == tensors[name].tobytes()
    assert len(back) == len([name for name in tensors if not name.endswith("_tracked")])
