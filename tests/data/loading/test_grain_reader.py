"""Images on disk equal the array in memory, in any order and process."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.loading.arrays import load_test, load_train
from rdvar_jax.data.loading.grain_reader import Batches, decoded_ahead
from rdvar_jax.data.loading.on_disk import BLOCK, ImagesOnDisk, TilesOnDisk
from rdvar_jax.data.loading.sampling_order import batch_indices
from rdvar_jax.data.loading.tiles import cut_all
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.records import Category
from rdvar_jax.errors import ConfigError, DataError

SIZE, BATCH, SEED, STEPS = 16, 4, 7, 9


@pytest.fixture(scope="module")
def category(tmp_path_factory) -> Category:
    """Seven different images, and a test set of two."""
    folder = tmp_path_factory.mktemp("data") / "widget"
    rng = np.random.default_rng(0)
    names = [*(f"train/good/{i}" for i in range(7)), "test/good/0", "test/hole/0"]
    for name in (*names, "ground_truth/hole/0_mask"):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
    return find_category(folder.parent, "widget")


@pytest.fixture(scope="module")
def in_memory(category) -> np.ndarray:
    images = load_train(category, SIZE).images
    assert isinstance(images, np.ndarray)
    return images


def expected_batches(in_memory: np.ndarray, first: int, rows: slice) -> list[np.ndarray]:
    """Batches of a run with all images on the devices."""
    return [
        in_memory[batch_indices(len(in_memory), BATCH, SEED, step)][rows]
        for step in range(first, STEPS)
    ]


def test_images_on_disk_are_those_of_the_array(category, in_memory):
    images = load_train(category, SIZE, memory_budget=0).images
    assert isinstance(images, ImagesOnDisk)
    assert (images.shape, images.dtype, len(images)) == (in_memory.shape, np.uint8, 7)
    np.testing.assert_array_equal(images[2], in_memory[2])
    np.testing.assert_array_equal(images[2:5], in_memory[2:5])
    np.testing.assert_array_equal(images[5:99], in_memory[5:])
    np.testing.assert_array_equal(images[[3, 0]], in_memory[[3, 0]])
    np.testing.assert_array_equal(images.take(np.array([6, 0, 6])), in_memory[[6, 0, 6]])


def test_a_set_is_held_in_memory_up_to_its_budget(category):
    needed = 7 * SIZE * SIZE * 3
    assert isinstance(load_train(category, SIZE, memory_budget=needed).images, np.ndarray)
    assert isinstance(load_train(category, SIZE, memory_budget=needed - 1).images, ImagesOnDisk)


def test_the_fingerprint_is_the_same(category):
    many = dataclasses.replace(category, train=category.train * (BLOCK // 7 + 1))
    assert len(many.train) > BLOCK  # more than one block
    fingerprint = load_train(many, SIZE, memory_budget=0).fingerprint
    assert fingerprint == load_train(many, SIZE).fingerprint


def test_the_test_set_too_can_stay_on_disk(category):
    test, whole = load_test(category, SIZE, memory_budget=0), load_test(category, SIZE)
    assert isinstance(test.images, ImagesOnDisk)
    np.testing.assert_array_equal(test.images[:], whole.images)
    np.testing.assert_array_equal(test.masks, whole.masks)


@pytest.mark.parametrize("load", [load_train, load_test])
def test_bad_files_are_found_before_anything_starts(category, tmp_path, load):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    records = tuple(dataclasses.replace(record, path=bad) for record in category.train[:1])
    broken = dataclasses.replace(category, train=records, test=records)
    with pytest.raises(DataError, match="bad.png is empty"):
        load(broken, SIZE, memory_budget=0)
    Image.new("RGB", (9, 9)).save(bad)
    mixed = dataclasses.replace(
        category, train=category.train + records, test=category.test + records
    )
    with pytest.raises(DataError, match="data.allow_mixed_sizes=True"):
        load(mixed, SIZE, memory_budget=0)
    assert len(load(mixed, SIZE, memory_budget=0, allow_mixed_sizes=True).images) > 1


def test_tiles_of_images_on_disk_are_those_of_the_array(category, in_memory):
    geometry = Geometry("tile", 8, 8, overlap=0.5)
    whole = load_train(category, Geometry("tile", 24, 24)).images
    disk = load_train(category, Geometry("tile", 24, 24), memory_budget=0).images
    tiles, expected = cut_all(disk, geometry), cut_all(whole, geometry)
    assert isinstance(tiles, TilesOnDisk)
    assert (tiles.shape, tiles.dtype, len(tiles)) == (expected.shape, np.uint8, 7 * 25)
    np.testing.assert_array_equal(tiles[30], expected[30])
    chosen = np.array([174, 0, 60])
    np.testing.assert_array_equal(tiles.take(chosen), expected[chosen])


def test_the_same_files_are_left_out(category, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    lost = dataclasses.replace(category.train[3], path=bad)
    records = (*category.train[:3], lost, *category.train * 10)
    broken = dataclasses.replace(category, train=records, test=records)
    for load in (load_train, load_test):
        whole = load(broken, SIZE, on_error="skip")
        disk = load(broken, SIZE, on_error="skip", memory_budget=0)
        assert disk.records == whole.records and disk.skipped == whole.skipped
        assert len(disk.skipped) == 1 and len(disk.images) == len(records) - 1
        np.testing.assert_array_equal(disk.images[:], whole.images)
        if load is load_train:
            assert disk.fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("num_workers", "first", "rows"),
    [
        (0, 0, slice(0, BATCH)),
        (0, 4, slice(1, 3)),
        pytest.param(2, 4, slice(1, 3), marks=pytest.mark.slow),
    ],
)
def test_batches_are_those_of_a_run_in_memory(category, in_memory, num_workers, first, rows):
    images = ImagesOnDisk(category.train, SIZE)
    batches = Batches(images, BATCH, rows, SEED, first, STEPS)
    with decoded_ahead(batches, memory_budget=0, num_workers=num_workers) as decoded:
        found = [np.array(batch) for batch in decoded]
    expected = expected_batches(in_memory, first, rows)
    assert len(found) == len(expected) == STEPS - first
    for batch, expected_batch in zip(found, expected, strict=True):
        np.testing.assert_array_equal(batch, expected_batch)


def test_only_as_much_is_decoded_ahead_as_the_budget_allows(category, monkeypatch):
    taken = []
    monkeypatch.setattr(
        ImagesOnDisk, "take", lambda self, indices: taken.append(indices) or np.zeros(1)
    )
    images = ImagesOnDisk(category.train, SIZE)
    batches = Batches(images, BATCH, slice(0, BATCH), SEED, 0, 1000)
    with decoded_ahead(batches, memory_budget=0) as decoded:
        for _ in range(10):
            next(decoded)
    assert 10 <= len(taken) <= 12


def test_images_on_disk_in_order_are_those_of_slices(category, tmp_path):
    images = ImagesOnDisk(category.train, SIZE)
    number = len(images) // 2 + 1
    found = list(images.batches(number))
    assert [len(batch) for batch in found] == [number, len(images) - number]
    np.testing.assert_array_equal(found[0], images[:number])
    np.testing.assert_array_equal(found[1], images[number:])
    gone = dataclasses.replace(category.train[0], path=tmp_path / "gone.png")
    batches = ImagesOnDisk((*category.train, gone), SIZE).batches(len(images))
    assert len(next(batches)) == len(images)
    with pytest.raises(DataError, match=r"gone.png does not exist"):
        next(batches)


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_image_that_is_lost_on_the_way_is_named(category, tmp_path, num_workers):
    gone = dataclasses.replace(category.train[0], path=tmp_path / "gone.png")
    images = ImagesOnDisk((*category.train[1:], gone), SIZE)
    batches = Batches(images, BATCH, slice(0, BATCH), SEED, 0, STEPS)
    with (
        pytest.raises(DataError, match=r"gone.png does not exist"),
        decoded_ahead(batches, memory_budget=1e9, num_workers=num_workers) as decoded,
    ):
        list(decoded)


def test_without_grain_there_is_a_way_out(category, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    batches = Batches(ImagesOnDisk(category.train, SIZE), BATCH, slice(0, BATCH), SEED, 0, STEPS)
    with (
        pytest.raises(ConfigError, match=r"install rdvar-jax\[stream\], or raise the budget"),
        decoded_ahead(batches, memory_budget=0),
    ):
        pass


def test_the_records_of_a_path_with_odd_characters(tmp_path, in_memory):
    folder = tmp_path / "my parts" / "schräg, 1"
    folder.mkdir(parents=True)
    Image.fromarray(in_memory[0]).save(folder / "a b.png")
    images = ImagesOnDisk(find_category(Path(tmp_path / "my parts"), "schräg, 1").train, SIZE)
    np.testing.assert_array_equal(images[0], in_memory[0])
