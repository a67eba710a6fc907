"""`trained_images.json`: written by every way of training, read only for its own state."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from resealed import seal_again

from rdvar_jax.data.loading.arrays import TrainSet, load_test, load_train
from rdvar_jax.data.loading.copies import Copy, TrainedImages
from rdvar_jax.data.pixels.image_hash import hash_images
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.sealed import MAX_BYTES
from rdvar_jax.runs.trained_images import (
    MAX_DETAILS,
    Seen,
    describe_seen,
    find_seen,
    images_of,
    read_trained_images,
    write_trained_images,
)
from rdvar_jax.runs.workdir import Workdir

SAVED: Any = SimpleNamespace(step=20, provenance={"data": "of these"})
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def workdir(tmp_path) -> Workdir:
    workdir = Workdir(tmp_path)
    train_set = TrainSet((), IMAGES, "of these", hashes=hash_images(IMAGES))
    write_trained_images(workdir, images_of(train_set), "of these")
    return workdir


def change(workdir: Workdir, **entries) -> None:
    seal_again(workdir.trained_images, **entries)


def test_what_is_written_is_read(workdir):
    found = read_trained_images(workdir, SAVED)
    assert found is not None
    assert found.names == ("image 0", "image 1", "image 2")
    assert found.hashes == hash_images(IMAGES)


def test_it_is_unknown_without_the_file_or_from_another_method(workdir):
    change(workdir, method="of a later version")
    assert read_trained_images(workdir, SAVED) is None
    workdir.trained_images.unlink()
    assert read_trained_images(workdir, SAVED) is None


def test_other_images_than_the_states_are_refused(workdir):
    change(workdir, fingerprint="of others")
    with pytest.raises(CheckpointError, match="other training images than the state of step 20"):
        read_trained_images(workdir, SAVED)


@pytest.mark.parametrize("damage", ["cut", "edited", "unsealed", "short", "not base64", "no name"])
def test_a_damaged_file_is_refused_with_the_way_out(workdir, damage):
    content = json.loads(workdir.trained_images.read_text())
    images = content["images"]
    if damage == "cut":
        text = workdir.trained_images.read_text()
        workdir.trained_images.write_text(text[: len(text) // 2])
    elif damage == "edited":
        workdir.trained_images.write_text(json.dumps({**content, "images": images[:2]}))
    elif damage == "unsealed":
        rest = {name: content[name] for name in ("method", "fingerprint", "images")}
        workdir.trained_images.write_text(json.dumps(rest))
    elif damage == "short":
        change(workdir, images=[images[0], {**images[1], "detail": "AAAA"}])
    elif damage == "not base64":
        change(workdir, images=[{**images[0], "detail": "!" + images[0]["detail"]}])
    else:
        change(workdir, images=[{**images[0], "sha256": "0"}, {"sha256": "0", "detail": ""}])
    with pytest.raises(CheckpointError, match=r"trained_images.json is damaged or was edited \("):
        read_trained_images(workdir, SAVED)


def test_of_very_many_images_only_equal_pixels_are_found(tmp_path, monkeypatch):
    """Else the file would be larger than what is read of one."""
    monkeypatch.setattr("rdvar_jax.runs.trained_images.MAX_DETAILS", 2)
    workdir = Workdir(tmp_path)
    hashes = hash_images(IMAGES)
    write_trained_images(workdir, TrainedImages(["a", "b", "c"], hashes), "of these")
    found = read_trained_images(workdir, SAVED)
    assert found is not None
    assert [found.find(one) for one in hashes] == [Copy(name, True) for name in "abc"]
    assert found.find(replace(hashes[0], sha256="another")) is None
    assert 1500 * MAX_DETAILS < MAX_BYTES  # an entry has some 1450 bytes and the name


def test_names_that_are_not_utf_8_are_kept(workdir):
    name = os.fsdecode(b"train/good/\xff.png")
    record: Any = SimpleNamespace(name=name)
    train_set = TrainSet((record,), IMAGES[:1], "of these", hashes=hash_images(IMAGES[:1]))
    write_trained_images(workdir, images_of(train_set), "of these")
    found = read_trained_images(workdir, SAVED)
    assert found is not None and found.names == (name,)


def test_hashes_are_the_same_from_disk(toy_root: Path):
    """Also of test images, and of those left over when one cannot be read."""
    category = find_category(toy_root, "tile")
    in_memory, on_disk = (load_train(category, 32, memory_budget=size) for size in (1e9, 0))
    assert not isinstance(on_disk.images, np.ndarray)
    assert in_memory.hashes == on_disk.hashes == hash_images(in_memory.images)
    tests = [load_test(category, 32, memory_budget=size) for size in (1e9, 0)]
    assert tests[0].hashes == tests[1].hashes and len(set(tests[0].hashes)) == 7


@pytest.mark.parametrize("memory_budget", [1e9, 0])
def test_images_left_out_have_no_hash(tmp_path, memory_budget):
    from PIL import Image

    rng = np.random.default_rng(0)
    for split in ("train/good", "test/good"):
        (tmp_path / "part" / split).mkdir(parents=True)
        for index in range(21):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "part" / split / f"{index:03}.png")
        (tmp_path / "part" / split / "004.png").write_bytes(b"no image")
    category = find_category(tmp_path, "part")
    for load in (load_train, load_test):
        found = load(category, 32, memory_budget=memory_budget, on_error="skip", progress=False)
        assert len(found.skipped) == 1
        assert found.hashes == hash_images([found.images[index] for index in range(20)])


def test_the_sentence_counts_and_names():
    hashes = hash_images(IMAGES)
    known: Any = SimpleNamespace(find={hashes[1]: Copy("a.png", True)}.get)
    assert find_seen(known, ["x", "y", "z"], hashes) == [None, Seen("y", Copy("a.png", True)), None]
    seen = [Seen("y", Copy("a.png", True)), Seen("z", Copy("b.png", False))]
    assert describe_seen(seen, 3, "good images") == (
        "this run was trained on 2 of the 3 good images (1 with the same pixels, 1 nearly so: "
        "saved, resized or brightened again): y (the same pixels as a.png), z (nearly the same as "
        "b.png)"
    )
