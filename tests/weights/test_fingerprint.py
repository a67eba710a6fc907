import numpy as np
import pytest
from resnet_shapes import random_tensors

from rdvar_jax.weights.fingerprint import FINGERPRINTS, fingerprint, has_fingerprint
from rdvar_jax.weights.torch_format.reader import read_torch_file


def folded(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Folds each normalisation into its convolution in float32, as other programs do."""
    new = dict(tensors)
    for name, kernel in tensors.items():
        if kernel.ndim != 4:
            continue
        norm = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        norm = norm.removesuffix(".weight")
        scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + 1e-5)
        scale = scale.astype(np.float32)
        new[name] = kernel * scale[:, None, None, None]
        new[f"{norm}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
        ones = np.ones_like(scale)
        new |= {f"{norm}.weight": ones, f"{norm}.running_mean": 0 * ones}
        new[f"{norm}.running_var"] = ones - np.float32(1e-5)
    return new


def narrow(seed: int) -> dict[str, np.ndarray]:
    """A ResNet-18's tensors, cut to eight channels."""
    tensors = random_tensors("resnet18", seed)
    return {name: value[(slice(8),) * min(value.ndim, 2)] for name, value in tensors.items()}


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return narrow(seed=1)


def test_numbers_of_one_convolution():
    tensors = {
        "conv1.weight": np.array([[3.0, 4.0], [6.0, 8.0]]).reshape(2, 2, 1, 1),
        "bn1.weight": np.array([1.0, 2.0]),
        "bn1.bias": np.array([0.5, 0.25]),
        "bn1.running_mean": np.array([1.0, -1.0]),
        "bn1.running_var": np.array([4 - 1e-5, 16 - 1e-5]),
    }
    values = [1.5, 2.0, 3.0, 4.0, 0.5 - 0.5, 0.25 + 0.5]
    expected = [
        np.sqrt(sum(v * v for v in values)),
        sum(v * np.cos(i) for i, v in enumerate(values)),
    ]
    np.testing.assert_allclose(fingerprint(tensors), [*expected, *[0.0] * 6], rtol=1e-12)


def test_folding_and_order_do_not_matter(tensors):
    expected = fingerprint(tensors)
    assert has_fingerprint(folded(tensors), expected)
    assert has_fingerprint(dict(reversed(tensors.items())), expected)
    assert has_fingerprint({**tensors, "fc.weight": np.ones((2, 2))}, expected)


def test_other_values_are_told_apart(tensors):
    expected = fingerprint(tensors)
    assert not has_fingerprint(narrow(seed=2), expected)
    name = "layer2.0.downsample.0.weight"
    assert not has_fingerprint({**tensors, name: tensors[name][:, ::-1]}, expected)
    shift = {"layer3.1.bn2.bias": tensors["layer3.1.bn2.bias"] + np.float32(0.1)}
    assert not has_fingerprint({**tensors, **shift}, expected)
    assert not has_fingerprint({**tensors, "bn1.running_var": np.zeros(3)}, expected)
    without = {key: value for key, value in tensors.items() if key != "layer1.0.bn1.bias"}
    assert not has_fingerprint(without, expected)
    assert not has_fingerprint({}, expected)
    assert not has_fingerprint(tensors | {"bn1.bias": np.full(8, np.nan)}, expected)


@pytest.mark.real_data
def test_torchvisions_resnet18(shared):
    path = shared / "weights" / "resnet18_imagenet_conv1_to_layer3.pth"
    tensors = read_torch_file(path)
    np.testing.assert_allclose(fingerprint(tensors), FINGERPRINTS["resnet18"], rtol=1e-8)
    assert has_fingerprint(tensors, FINGERPRINTS["resnet18"])
    # As torchvision's is printed on the web: one factor for the channel, which folding gave it.
    printed = [-1.0419e-02, -6.1356e-03, -1.8098e-03, 7.4841e-02, 5.6615e-02, 1.7083e-02]
    factors = tensors["conv1.weight"][0, 0, 0, :6] / np.array(printed)
    np.testing.assert_allclose(factors, factors[0], rtol=1e-4)
