"""Weights in the caches of other programs, accepted by content; nothing is downloaded."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from resnet_shapes import random_tensors
from torch_writer import tensor, write_zip

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights import catalogue
from rdvar_jax.weights.catalogue import CatalogueFile, fetch, found_files, weights_at_hand
from rdvar_jax.weights.fingerprint import FINGERPRINTS, fingerprint
from rdvar_jax.weights.places import cache_dir, hub_cache_dir, torch_cache_dir
from rdvar_jax.weights.safetensors_file import safetensors_bytes

ARCH = "resnet18"


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return random_tensors(ARCH, seed=1)


@pytest.fixture(scope="module")
def content(tensors) -> bytes:
    """A file of these values, as timm has it: torch's names in a safetensors file."""
    return safetensors_bytes(tensors, {"format": "pt"})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty home, and no network."""
    for name in ("RDVAR_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(catalogue, "BASE_URL", "http://127.0.0.1:9/")
    return tmp_path


@pytest.fixture
def known(monkeypatch, tensors):
    """Makes the values of `tensors` those of the catalogue's ResNet-18."""
    monkeypatch.setitem(FINGERPRINTS, ARCH, fingerprint(tensors))


@pytest.fixture
def unknown(monkeypatch):
    """Leaves the architecture without known values, as all but ResNet-18 are."""
    monkeypatch.delitem(FINGERPRINTS, ARCH)


def in_hub(content: bytes, repository: str = f"timm--{ARCH}.tv_in1k", file="model.safetensors"):
    """Stores a file as the hub's library does: under its sha256, with a link from a snapshot."""
    folder = hub_cache_dir() / f"models--{repository}"
    blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
    link = folder / "snapshots" / "0123abcd" / file
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    blob.write_bytes(content)
    link.symlink_to(Path("../../blobs") / blob.name)
    return link


def test_nothing_at_hand(home):
    assert all(weights_at_hand(arch) is None for arch in (*catalogue.CATALOGUE, "vgg16"))
    assert list(home.iterdir()) == [], "looking made a folder"


def test_folders_of_the_hub(home, monkeypatch):
    assert hub_cache_dir() == home / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert hub_cache_dir() == Path("/xdg/huggingface/hub")
    monkeypatch.setenv("HF_HOME", "~/hf")
    assert hub_cache_dir() == home / "hf" / "hub"
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "/old")
    assert hub_cache_dir() == Path("/old")
    monkeypatch.setenv("HF_HUB_CACHE", "/hub")
    assert hub_cache_dir() == Path("/hub")


@pytest.mark.parametrize("name", ["resnet18-f37072fd.pth", "resnet18-5c106cde.pth"])
def test_torch_hub_has_the_file_of_either_format(monkeypatch, name):
    digest = hashlib.sha256(b"x").hexdigest()
    path = torch_cache_dir() / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert weights_at_hand(ARCH) is None
    is_new = name == catalogue.CATALOGUE[ARCH].name
    file = CatalogueFile(ARCH, *((digest[:8],) if is_new else ("f37072fd", digest[:8])))
    path = path.rename(path.with_name(f"{ARCH}-{digest[:8]}.pth"))
    monkeypatch.setitem(catalogue.CATALOGUE, ARCH, file)
    found = fetch(ARCH)
    assert found.path == path == weights_at_hand(ARCH)
    assert found.is_verified and found.origin == file.url


def test_timms_file_is_known_by_its_values(content, known):
    path = in_hub(content)
    found = fetch(ARCH)
    assert found.path == path == weights_at_hand(ARCH)
    assert found.is_verified and found.origin == catalogue.CATALOGUE[ARCH].url


def test_timms_older_format_holds_the_same_values(tmp_path, tensors, known):
    written = write_zip(tmp_path / "a", {name: tensor(value) for name, value in tensors.items()})
    path = in_hub(written.read_bytes(), file="pytorch_model.bin")
    assert weights_at_hand(ARCH) == path


def test_other_values_under_timms_name_are_passed_over(tensors, known):
    other = {**tensors, "layer3.1.conv2.weight": tensors["layer3.1.conv2.weight"] * 1.01}
    in_hub(safetensors_bytes(other, {}))
    assert weights_at_hand(ARCH) is None
    (found,) = found_files(ARCH)
    assert found.fault == "holds other values than torchvision's IMAGENET1K_V1"


def test_where_no_values_are_known_the_file_is_taken_as_unverified(content, unknown):
    path = in_hub(content)
    found = fetch(ARCH)
    assert found.path == path and not found.is_verified
    assert found.origin == (
        "timm's resnet18.tv_in1k, whose values could not be compared with torchvision's"
    )


@pytest.mark.parametrize("recipe", ["tv2_in1k", "a1_in1k", "gluon_in1k"])
def test_other_recipes_are_never_looked_at(content, unknown, recipe):
    in_hub(content, f"timm--{ARCH}.{recipe}")
    in_hub(content, f"someone--{ARCH}.tv_in1k")
    assert weights_at_hand(ARCH) is None


def test_the_second_weights_under_timms_name_are_refused(content, unknown, monkeypatch):
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(catalogue, "REFUSED", (CatalogueFile("resnet50", digest[:8]),))
    in_hub(content)
    assert weights_at_hand(ARCH) is None


def test_a_damaged_file_of_the_hub_is_passed_over(content, unknown):
    blob = in_hub(content).resolve()
    changed = bytearray(content)
    changed[-5] ^= 1
    blob.write_bytes(changed)
    assert weights_at_hand(ARCH) is None
    (found,) = found_files(ARCH)
    assert "is damaged or another file: its sha256 should begin with" in found.fault
    blob.write_bytes(content[:1000])
    assert weights_at_hand(ARCH) is None
    blob.unlink()  # a link to nothing
    assert list(found_files(ARCH)) == []


def test_another_architecture_under_timms_name(unknown):
    in_hub(safetensors_bytes(random_tensors("resnet34", seed=1), {}))
    assert [found.fault for found in found_files(ARCH)] == ["holds resnet34, not resnet18"]


def test_a_failed_download_names_every_place_and_the_way_out():
    with pytest.raises(WeightsError) as caught:
        fetch("wide_resnet50_2")
    message = str(caught.value)
    hub = hub_cache_dir() / "models--timm--wide_resnet50_2.tv_in1k"
    for text in (cache_dir(), torch_cache_dir(), hub, "rdvar weights --from FILE"):
        assert str(text) in message
    assert message.startswith("wide_resnet50_2-95faca4d.pth could not be downloaded (")
    assert "\n" not in message
