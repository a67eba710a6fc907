"""`rdvar weights`: the list, and `--from FILE`; nothing is downloaded."""

import hashlib
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
from in_process import call_rdvar
from rdvar_process import assert_one_sentence
from resnet_shapes import random_tensors
from torch_writer import tensor, write_zip

from rdvar_jax.errors import UserError
from rdvar_jax.runs.presets import PRESETS
from rdvar_jax.weights import catalogue
from rdvar_jax.weights.catalogue import CATALOGUE, CatalogueFile, FoundFile, weights_at_hand
from rdvar_jax.weights.fingerprint import FINGERPRINTS, fingerprint
from rdvar_jax.weights.places import cache_dir, hub_cache_dir, torch_cache_dir
from rdvar_jax.weights.safetensors_file import read_safetensors, write_safetensors

ARCH = "resnet18"
PLACES = ("RDVAR_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty home."""
    for name in (*PLACES, "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(ARCH, seed=1)


@pytest.fixture(scope="module")
def pth(tensors, tmp_path_factory) -> Path:
    """A file of these weights, with another program's name."""
    path = tmp_path_factory.mktemp("stick") / "weights.bin"
    return write_zip(path, {name: tensor(value) for name, value in tensors.items()})


@pytest.fixture
def catalogued(monkeypatch, pth) -> CatalogueFile:
    """Makes it the catalogue's ResNet-18."""
    file = CatalogueFile(ARCH, hashlib.sha256(pth.read_bytes()).hexdigest()[:8])
    monkeypatch.setitem(CATALOGUE, ARCH, file)
    return file


def test_the_list_in_an_empty_home_names_every_file_and_place(home):
    said = call_rdvar("weights")
    assert said.returncode == 0 and not said.stderr
    for file in CATALOGUE.values():
        assert f"{file.name}\n    missing\n" in said.stdout
    for name in PRESETS:
        assert re.search(rf"--config (\w+ and )*{name}\b", said.stdout)
    for place in (cache_dir(), torch_cache_dir(), hub_cache_dir() / "models--timm--BACKBONE"):
        assert str(place) in said.stdout
    assert "rdvar weights --from FILE" in said.stdout
    assert said.stdout.count("demonstrations only") == 2
    assert list(home.iterdir()) == []


def test_a_file_is_checked_and_put_in_place(pth, catalogued):
    target = cache_dir() / catalogued.name
    said = call_rdvar("weights", "--from", pth)
    assert said.stdout == f"put {pth} ({ARCH}, sha256 verified) in place: {target}\n"
    assert said.returncode == 0 and not said.stderr
    assert target.read_bytes() == pth.read_bytes() and weights_at_hand(ARCH) == target
    assert [path.name for path in cache_dir().iterdir()] == [catalogued.name]
    for path in (pth, target):
        again = call_rdvar("weights", "--from", path, "--arch", ARCH)
        assert again.stdout.endswith(f"is in place already: {target}\n")
    assert f"found: {target} (sha256 verified)" in call_rdvar("weights").stdout


def test_a_damaged_file_in_the_cache_is_listed_and_replaced(pth, catalogued):
    target = cache_dir() / catalogued.name
    target.parent.mkdir(parents=True)
    target.write_bytes(b"damaged")
    (target.parent / f".{target.name}.0123abcd.tmp").write_bytes(b"of a killed process")
    listed = call_rdvar("weights")
    assert listed.returncode == 0
    assert f"    {target} is damaged or another file: its sha256 should begin" in listed.stdout
    assert weights_at_hand(ARCH) is None
    assert "in place: " in call_rdvar("weights", "--from", pth).stdout
    assert weights_at_hand(ARCH) == target
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_file_of_another_program_is_known_by_its_values(tmp_path, tensors, monkeypatch):
    monkeypatch.setitem(FINGERPRINTS, ARCH, fingerprint(tensors))
    path = tmp_path / "model.safetensors"
    write_safetensors(path, tensors, {})
    said = call_rdvar("weights", "--from", path)
    assert f"({ARCH}, values verified) in place: " in said.stdout
    target = cache_dir() / f"{ARCH}.tv_in1k-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    assert weights_at_hand(ARCH) == target.with_name(f"{target.name}.safetensors")
    other = tmp_path / "other.safetensors"
    write_safetensors(other, random_tensors(ARCH, seed=2), {})
    refused = call_rdvar("weights", "--from", other)
    assert_one_sentence(refused, "holds other values than torchvision's", f"weights={other}")


def test_timms_file_without_known_values_is_placed_as_unverified(tmp_path, tensors, monkeypatch):
    monkeypatch.delitem(FINGERPRINTS, ARCH)
    alone = tmp_path / "model.safetensors"
    write_safetensors(alone, tensors, {})
    refused = call_rdvar("weights", "--from", alone)
    assert_one_sentence(refused, "cannot be told from weights of another recipe", "tv_in1k")
    assert not cache_dir().exists()
    path = tmp_path / f"{ARCH}.tv_in1k" / "model.safetensors"
    path.parent.mkdir()
    alone.rename(path)
    said = call_rdvar("weights", "--from", path)
    assert "whose values could not be compared with torchvision's) in place: " in said.stdout
    target = weights_at_hand(ARCH)
    assert target is not None and target.parent == cache_dir()
    assert f"found: {target} (not verified: timm's resnet18.tv_in1k" in call_rdvar("weights").stdout
    target.write_bytes(target.read_bytes()[:-1] + b"x")
    assert weights_at_hand(ARCH) is None


def test_files_that_do_not_fit_are_one_sentence(tmp_path, pth, tensors, monkeypatch):
    text = tmp_path / "a.txt"
    text.write_text("<html>")
    write_safetensors(tmp_path / "narrow", {"conv1.weight": tensors["conv1.weight"][:8]}, {})
    digest = hashlib.sha256(pth.read_bytes()).hexdigest()
    for args, words in (
        ([tmp_path / "none"], ["none is not a file", "--from"]),
        ([tmp_path], ["is not a file"]),
        ([text], ["a text file"]),
        ([tmp_path / "narrow"], ["holds another network, not resnet18 or"]),
        ([pth, "--arch", "resnet50"], ["the weights of resnet18, not of resnet50"]),
        ([pth, "--arch", "vgg16"], ["--arch vgg16 is not one of resnet18"]),
    ):
        assert_one_sentence(call_rdvar("weights", "--from", *args), *words)
    monkeypatch.setattr(catalogue, "REFUSED", (CatalogueFile("resnet50", digest[:8]),))
    assert_one_sentence(call_rdvar("weights", "--from", pth), "IMAGENET1K_V2")
    assert_one_sentence(call_rdvar("weights", "--arch", ARCH), "--arch needs --from FILE.")
    assert not cache_dir().exists()


def test_an_incomplete_file_of_the_right_hash_is_refused(tmp_path, tensors, monkeypatch):
    some = {name: tensor(value) for name, value in tensors.items() if name != "bn1.bias"}
    path = write_zip(tmp_path / "a.pth", some)
    file = CatalogueFile(ARCH, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    monkeypatch.setitem(CATALOGUE, ARCH, file)
    assert_one_sentence(call_rdvar("weights", "--from", path), "1 missing (bn1.bias)")
    assert not cache_dir().exists()


def test_a_cache_that_cannot_be_written_to(tmp_path, pth, catalogued):
    (tmp_path / "file").touch()
    refused = call_rdvar("weights", "--from", pth, RDVAR_CACHE=str(tmp_path / "file"))
    assert_one_sentence(refused, catalogued.name, "set RDVAR_CACHE to another folder")


def test_a_run_keeps_that_its_weights_could_not_be_compared(rdvar, finished, tmp_path, monkeypatch):
    path = tmp_path / "narrow.safetensors"
    tensors, _ = read_safetensors(finished.trained / "teacher.safetensors")
    write_safetensors(path, tensors, {})
    found = FoundFile(path, "0" * 64, "timm's resnet18.tv_in1k", "not compared")
    monkeypatch.setattr("rdvar_jax.weights.load_teacher.fetch", lambda arch: found)
    # That training begins is enough, since the rest of it takes seconds.
    begun = Mock(side_effect=UserError("begun"))
    monkeypatch.setattr("rdvar_jax.commands.train.Trainer", begun)
    args = rdvar.train_args(tmp_path / "run", "--config.teacher.weights=")
    said = rdvar.run(*args)
    line = f"the teacher's weights are timm's resnet18.tv_in1k, not compared: {path}\n"
    assert said.stderr.count(line) == 1 and "demonstrations" not in said.stderr
    kept = read_safetensors(tmp_path / "run" / "teacher.safetensors")[1]
    assert kept["unverified"] == found.origin
