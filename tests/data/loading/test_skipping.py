"""data.on_error=skip: bad images are left out in order, up to a small share of a split."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.loading.arrays import load_test, load_train, load_validation
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.records import Category
from rdvar_jax.data.sets.validation import split_validation
from rdvar_jax.errors import DataError

S = 8


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """40 images to train on, 30 good and 10 defective ones to test with."""
    rng = np.random.default_rng(0)
    for split, kind, number in (("train", "good", 40), ("test", "good", 30), ("test", "hole", 10)):
        for index in range(number):
            pixels = rng.integers(0, 256, (S, S, 3), dtype=np.uint8)
            save(tmp_path / f"part/{split}/{kind}/{index:02}.png", pixels)
    for index in range(10):
        mask = np.zeros((S, S), np.uint8)
        mask[: index % S + 1] = 255
        save(tmp_path / f"part/ground_truth/hole/{index:02}_mask.png", mask)
    return tmp_path


def find(root: Path) -> Category:
    return find_category(root, "part")


def test_a_bad_training_image_is_left_out_and_named(root: Path, caplog: pytest.LogCaptureFixture):
    whole = load_train(find(root), S)
    bad = root / "part/train/good/07.png"
    bad.write_bytes(b"")
    with pytest.raises(DataError, match=r"07\.png is empty"):
        load_train(find(root), S)
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        train = load_train(find(root), S, on_error="skip")
    assert [(one.name, one.reason) for one in train.skipped] == [
        (
            "train/good/07.png",
            f"{bad} is empty (0 bytes); copy it again from its source or remove it.",
        )
    ]
    assert "left out 1 of 40 train images (data.on_error=skip), such as: " in caplog.text
    kept = [index for index in range(40) if index != 7]
    assert train.records == tuple(whole.records[index] for index in kept)
    np.testing.assert_array_equal(train.images, whole.images[kept])
    # It equals the set without that file, so a run on it resumes once the file is removed.
    bad.unlink()
    assert load_train(find(root), S).fingerprint == train.fingerprint != whole.fingerprint


def test_nothing_bad_is_nothing_skipped(root: Path):
    train, strict = load_train(find(root), S, on_error="skip"), load_train(find(root), S)
    assert train.skipped == strict.skipped == ()
    assert train.fingerprint == strict.fingerprint


@pytest.mark.parametrize(("number", "is_refused"), [(2, False), (3, True)])
def test_at_most_a_twentieth_is_left_out(root: Path, number: int, is_refused: bool):
    for index in range(number):
        (root / f"part/train/good/{index + 5:02}.png").write_text("no image")
    if not is_refused:
        assert len(load_train(find(root), S, on_error="skip").images) == 40 - number
        return
    with pytest.raises(DataError) as caught:
        load_train(find(root), S, on_error="skip")
    assert str(caught.value).startswith(
        "3 of 40 train images cannot be used, more than the 5% that data.on_error=skip may leave "
        f"out; fix them, starting with this one: {root / 'part/train/good/05.png'} cannot"
    )


@pytest.mark.parametrize("damage", ["image", "mask", "size of the mask", "both"])
def test_a_bad_test_image_or_mask_leaves_out_the_image(root: Path, damage: str):
    whole = load_test(find(root), S)
    image = root / "part/test/hole/03.png"
    mask = root / "part/ground_truth/hole/03_mask.png"
    if damage in ("image", "both"):
        image.write_bytes(image.read_bytes()[:60])
    if damage in ("mask", "both"):
        mask.write_bytes(b"")
    if damage == "size of the mask":
        save(mask, np.full((S, S + 1), 255, np.uint8))
    with pytest.raises(DataError):
        load_test(find(root), S)
    test = load_test(find(root), S, on_error="skip")
    (skipped,) = test.skipped
    assert skipped.name == "test/hole/03.png"
    assert str(mask if "mask" in damage else image) in skipped.reason
    kept = [i for i, record in enumerate(whole.records) if record.name != skipped.name]
    assert test.records == tuple(whole.records[index] for index in kept)
    for name in ("images", "masks", "labels"):
        np.testing.assert_array_equal(getattr(test, name), getattr(whole, name)[kept])


def test_images_and_masks_count_together(root: Path):
    (root / "part/test/good/00.png").write_bytes(b"")
    (root / "part/test/hole/00.png").write_bytes(b"")
    assert len(load_test(find(root), S, on_error="skip").skipped) == 2
    (root / "part/ground_truth/hole/04_mask.png").write_bytes(b"")
    with pytest.raises(DataError, match="3 of 40 test images cannot be used"):
        load_test(find(root), S, on_error="skip")


def test_sizes_that_differ_are_no_accident_of_one_file(root: Path):
    save(root / "part/train/good/03.png", np.zeros((S, 2 * S, 3), np.uint8))
    with pytest.raises(DataError, match="different pixel sizes"):
        load_train(find(root), S, on_error="skip")


def test_validation_images_are_a_split_of_their_own(root: Path):
    category = split_validation(find(root), 0.5, seed=0)
    category.validation[0].path.write_bytes(b"")
    validation = load_validation(category, S, on_error="skip")
    assert [one.name for one in validation.skipped] == [category.validation[0].name]
    assert len(validation.images) == 19
    category.validation[1].path.write_bytes(b"")
    with pytest.raises(DataError, match="2 of 20 validation images cannot be used"):
        load_validation(category, S, on_error="skip")
