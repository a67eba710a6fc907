import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resnet_shapes import empty_tensors, random_tensors
from torch_writer import tensor, write_legacy, write_zip

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights import catalogue
from rdvar_jax.weights.catalogue import CatalogueFile
from rdvar_jax.weights.load_teacher import load_teacher
from rdvar_jax.weights.name_map import flax_path
from rdvar_jax.weights.safetensors_file import write_safetensors


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return random_tensors("resnet18", seed=1)


@dataclasses.dataclass(frozen=True)
class Leaf:
    shape: tuple[int, ...]
    dtype: Any = np.float32


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, array in empty_tensors("resnet18").items():
        if name.endswith("num_batches_tracked"):
            continue
        *parts, last = flax_path(name)
        place = tree
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = Leaf(array.transpose(2, 3, 1, 0).shape if array.ndim == 4 else array.shape)
    return tree


def write(form: str, path: Path, tensors: dict[str, np.ndarray], **metadata: str) -> Path:
    if form == "safetensors":
        write_safetensors(path, tensors, metadata)
    else:
        writer = write_zip if form == "zip" else write_legacy
        writer(path, {name: tensor(array) for name, array in tensors.items()})
    return path


# The suffix is ignored: each format under the others' names.
@pytest.mark.parametrize(
    ("form", "name"), [("zip", "a.safetensors"), ("legacy", "a.pt"), ("safetensors", "a.pth")]
)
def test_every_format_gives_the_same(tmp_path, tensors, expected, form, name):
    path = write(form, tmp_path / name, tensors)
    variables, source = load_teacher("resnet18", str(path), expected)
    kernel = variables["params"]["layer2"]["block0"]["downsample_conv"]["kernel"]
    want = tensors["layer2.0.downsample.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, want)
    np.testing.assert_array_equal(
        variables["batch_stats"]["bn1"]["var"], tensors["bn1.running_var"]
    )
    assert source.arch == "resnet18" and source.name == name and source.origin == str(path)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.name = "b"  # type: ignore[misc]


def test_home_is_expanded(tmp_path, tensors, expected, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write("zip", tmp_path / "a.pth", tensors)
    assert load_teacher("resnet18", "~/a.pth", expected)[1].origin == str(tmp_path / "a.pth")


def test_catalogue(tmp_path, tensors, expected, monkeypatch):
    monkeypatch.setenv("RDVAR_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    path = write("zip", tmp_path / "a.pth", tensors)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = CatalogueFile("resnet18", digest[:8])
    path.rename(tmp_path / "weights" / file.name)
    monkeypatch.setitem(catalogue.CATALOGUE, "resnet18", file)
    _, source = load_teacher("resnet18", "", expected)
    assert source.name == file.name and source.sha256 == digest and source.origin == file.url


def test_a_converted_file_says_where_it_came_from(tmp_path, tensors, expected):
    path = write(
        "safetensors", tmp_path / "a", tensors, source="resnet18-f37072fd.pth", source_sha256="f370"
    )
    assert load_teacher("resnet18", str(path), expected)[1].origin == "resnet18-f37072fd.pth"


def test_v2_weights_are_refused(tmp_path, tensors, expected, monkeypatch):
    path = write("zip", tmp_path / "resnet50-11ad3fa6.pth", tensors)
    with pytest.raises(WeightsError, match="IMAGENET1K_V2"):
        load_teacher("resnet18", str(path), expected)
    path = write("safetensors", tmp_path / "a", tensors, source_sha256="9ba9bcbe" + "0" * 56)
    with pytest.raises(WeightsError, match="IMAGENET1K_V2"):
        load_teacher("resnet18", str(path), expected)
    path = write("zip", tmp_path / "renamed.pth", tensors)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    refused = (CatalogueFile("wide_resnet50_2", digest[:8]),)
    monkeypatch.setattr(catalogue, "REFUSED", refused)
    with pytest.raises(WeightsError, match="renamed.pth is .*IMAGENET1K_V2"):
        load_teacher("resnet18", str(path), expected)


def test_another_architecture(tmp_path, expected):
    path = write("safetensors", tmp_path / "a", random_tensors("resnet34", seed=1))
    with pytest.raises(WeightsError, match="holds the weights of resnet34, but .* resnet18"):
        load_teacher("resnet18", str(path), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"{}", "a text file"),
        (b'{"abcd":{}}', "a text file"),
        (b"\x02\0\0\0\0\0\0\0{}", "does not fit"),
        (b"\x05\0\0\0\0\0\0\0{...}", "not a complete safetensors file"),
        (b"PK\x03\x04", "cut short"),
    ],
)
def test_bad_files(tmp_path, expected, content, message):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_teacher("resnet18", str(path), expected)


def test_bad_paths(tmp_path, expected):
    for path, message in ((tmp_path / "no", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(WeightsError, match=message):
            load_teacher("resnet18", str(path), expected)
    with pytest.raises(WeightsError, match="set teacher.arch"):
        load_teacher("vgg16", "", expected)


@pytest.mark.real_data
def test_real_weights_load(shared, expected):
    path = shared / "weights" / "resnet18_imagenet_conv1_to_layer3.pth"
    variables, source = load_teacher("resnet18", str(path), expected)
    assert source.sha256.startswith("64e689b08075e154")
    kernel = variables["params"]["conv1"]["kernel"]
    assert kernel.shape == (7, 7, 3, 64)
    np.testing.assert_allclose(kernel.sum(dtype=np.float64), -0.608706823, rtol=1e-8)
    assert (
        variables["batch_stats"]["layer3"]["block1"]["bn2"]["var"] == np.float32(1 - 1e-5)
    ).all()
