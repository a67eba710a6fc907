"""Categories in memory: shapes, dtypes, labels, and a fingerprint that detects changed data."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.loading.arrays import compute_fingerprint, load_test, load_train
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.errors import DataError


def save(path: Path, pixels: np.ndarray):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = ["train/good/0", "train/good/1", "train/good/2", "test/good/0", "test/hole/0"]
    for name in names:
        save(tmp_path / f"widget/{name}.png", rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 3:7] = 255
    save(tmp_path / "widget/ground_truth/hole/0_mask.png", mask)
    return tmp_path


def test_load_train(root: Path):
    category = find_category(root, "widget")
    train = load_train(category, 8)
    assert train.records == category.train
    assert (train.images.shape, train.images.dtype) == ((3, 8, 8, 3), np.uint8)
    for record, image in zip(train.records, train.images, strict=True):
        with Image.open(record.path) as expected:
            np.testing.assert_array_equal(image, np.asarray(expected))


def test_load_test(root: Path):
    category = find_category(root, "widget")
    test = load_test(category, 8)
    assert test.records == category.test
    assert (test.images.shape, test.images.dtype) == ((2, 8, 8, 3), np.uint8)
    assert (test.masks.shape, test.masks.dtype) == ((2, 8, 8), np.bool_)
    assert (test.labels.tolist(), test.labels.dtype) == ([0, 1], np.int32)
    expected = np.zeros((2, 8, 8), bool)
    expected[1, 2:5, 3:7] = True
    np.testing.assert_array_equal(test.masks, expected)
    with Image.open(category.test[1].path) as image:
        np.testing.assert_array_equal(test.images[1], np.asarray(image))


def test_a_border_is_known(root: Path):
    """8 x 8 in 8 x 16: four columns of padding on either side."""
    category = find_category(root, "widget")
    test = load_test(category, Geometry("pad", 8, 16))
    assert test.valid_mask is not None and test.valid_mask.shape == (2, 8, 16)
    assert test.valid_mask[:, :, 4:12].all() and not test.valid_mask[:, :, [0, 3, 12, 15]].any()
    plain = load_test(category, 8)
    np.testing.assert_array_equal(test.images[:, :, 4:12], plain.images)
    np.testing.assert_array_equal(test.masks[:, :, 4:12], plain.masks)
    assert not test.masks[~test.valid_mask].any()
    assert plain.valid_mask is None


def test_threshold_reaches_the_masks(root: Path):
    faint = np.full((8, 8), 20, np.uint8)
    save(root / "widget/ground_truth/hole/0_mask.png", faint)
    category = find_category(root, "widget")
    for setting in ("auto", "any", 20):
        assert load_test(category, 8, threshold=setting).masks[1].all()
    for setting in ("half", 21):
        assert not load_test(category, 8, threshold=setting).masks.any()


def test_mixed_sizes_need_the_setting(root: Path):
    for name in ("train/good/3", "test/good/1"):
        save(root / f"widget/{name}.png", np.zeros((9, 9, 3), np.uint8))
    category = find_category(root, "widget")
    for load, num_images in ((load_train, 4), (load_test, 3)):
        with pytest.raises(DataError, match="data.allow_mixed_sizes=True"):
            load(category, 8)
        assert len(load(category, 8, allow_mixed_sizes=True).images) == num_images


def test_fingerprint_is_a_function_of_names_and_pixels(root: Path):
    category = find_category(root, "widget")
    first = load_train(category, 8)
    assert len(first.fingerprint) == 64 and int(first.fingerprint, 16)
    assert load_train(category, 8, num_workers=1).fingerprint == first.fingerprint
    # Another folder and another compression are the same data.
    moved = root.rename(root.with_name("elsewhere"))
    for path in (moved / "widget/train/good").iterdir():
        with Image.open(path) as image:
            image.save(path, compress_level=0)
    category = find_category(moved, "widget")
    assert load_train(category, 8).fingerprint == first.fingerprint


@pytest.mark.parametrize("change", ["pixel", "name", "removed", "size", "swapped"])
def test_fingerprint_notices(root: Path, change: str):
    before = load_train(find_category(root, "widget"), 8).fingerprint
    good = root / "widget/train/good"
    size = 8
    if change == "pixel":
        with Image.open(good / "1.png") as image:
            pixels = np.array(image)
        pixels[3, 4, 1] ^= 1
        save(good / "1.png", pixels)
    elif change == "name":
        (good / "2.png").rename(good / "3.png")
    elif change == "removed":
        (good / "2.png").unlink()
    elif change == "size":
        size = 16
    else:
        (good / "0.png").rename(good / "kept.png")
        (good / "1.png").rename(good / "0.png")
        (good / "kept.png").rename(good / "1.png")
    assert load_train(find_category(root, "widget"), size).fingerprint != before


def test_fingerprint_of_known_data():
    # Fixed values: a run that an older version started must still recognise its data.
    images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert compute_fingerprint((), images) == (
        "098004c44305a8dd131d81d4ebba413544d645ae5afb4634e9bcd8d23a92e25c"
    )


@pytest.mark.real_data
def test_real_set(shared: Path):
    category = find_category(shared / "data/mvtec_256", "leather_tiles")
    train, test = load_train(category, 256), load_test(category, 256)
    assert train.images.shape == (64, 256, 256, 3)
    assert test.images.shape == (53, 256, 256, 3)
    assert test.labels.sum() == 21
    # Every defect has pixels and no good image does.
    np.testing.assert_array_equal(test.masks.any(axis=(1, 2)), test.labels == 1)
