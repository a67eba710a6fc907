"""Decoding of many files: order, errors, masks and progress."""

import dataclasses
import logging
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from expectations import check_sentence
from image_writers import S, random_pixels, save

from rdvar_jax.data.pixels import decode
from rdvar_jax.data.pixels.decode import (
    FileFacts,
    decode_image,
    decode_images,
    decode_mask,
    decode_masks,
)
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.errors import DataError


def record(path: Path, label: int = 0, mask_path: Path | None = None) -> ImageRecord:
    kind = "hole" if label else "good"
    return ImageRecord(path, f"test/{kind}/{path.name}", label, kind, mask_path)


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    images = random_pixels(12, S, S, 3)
    return [record(save(tmp_path / f"{index:02}.png", image)) for index, image in enumerate(images)]


@pytest.mark.parametrize("num_workers", [None, 1, 3, 20])
def test_images_come_in_record_order(records: list[ImageRecord], num_workers: int | None):
    images = decode_images(records, S, num_workers=num_workers)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, random_pixels(12, S, S, 3))


def test_no_images():
    assert decode_images([], S).shape == (0, S, S, 3)
    assert decode_masks([], S).shape == (0, S, S)


def test_the_first_bad_record_is_reported(
    records: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
):
    # Record 7 fails at once, record 4 only after it.
    failed = threading.Event()
    calls = []

    def decode_slowly(path: Path, size: int):
        calls.append(path)
        if path.name == "07.png":
            failed.set()
            raise DataError("seven.")
        if path.name == "04.png":
            assert failed.wait(10)
            raise DataError("four.")
        return np.zeros((S, S, 3), np.uint8), FileFacts((S, S), None)

    monkeypatch.setattr(decode, "decode_file", decode_slowly)
    with pytest.raises(DataError, match="four"):
        decode_images(records, S, num_workers=4)


def test_pending_work_is_cancelled(records: list[ImageRecord], monkeypatch: pytest.MonkeyPatch):
    calls = []

    def fail(path: Path, size: int):
        calls.append(path)
        threading.Event().wait(0.05)
        raise DataError("bad.")

    monkeypatch.setattr(decode, "decode_file", fail)
    with pytest.raises(DataError):
        decode_images(records, S, num_workers=1)
    assert len(calls) < len(records) / 2


def test_mixed_sizes(tmp_path: Path, records: list[ImageRecord]):
    wide = save(tmp_path / "wide.png", random_pixels(6, 20, 3))
    tall = save(tmp_path / "tall.png", random_pixels(20, 6, 3))
    mixed = [record(wide), *records, record(tall), record(wide)]
    with pytest.raises(DataError) as caught:
        decode_images(mixed, S)
    check_sentence(
        caught.value,
        f"8x8 (count 12, such as {records[0].path}), 20x6 (count 2, such as {wide}), "
        f"6x20 (count 1, such as {tall})",
        "set data.allow_mixed_sizes=True to have each stretched to 8x8",
    )
    images = decode_images(mixed, S, allow_mixed_sizes=True)
    np.testing.assert_array_equal(images[0], decode_image(wide, S))


def test_a_long_list_of_sizes_is_cut(tmp_path: Path):
    mixed = [
        record(save(tmp_path / f"{side}.png", random_pixels(side, side, 3)))
        for side in range(1, 21)
    ]
    with pytest.raises(DataError, match=r"8x8 \(count 1, such as [^)]*\), 12 other sizes; make"):
        decode_images(mixed, S)


@pytest.fixture
def masked(tmp_path: Path, records: list[ImageRecord]) -> list[ImageRecord]:
    """Records 1 and 3 are defective: a large defect and one of a single pixel in 32 x 32."""
    for index, box in ((1, np.s_[8:24, 8:24]), (3, np.s_[5, 5])):
        image = save(tmp_path / f"image{index}.png", random_pixels(32, 32, 3))
        mask = np.zeros((32, 32), np.uint8)
        mask[box] = 255
        mask_path = save(tmp_path / f"image{index}_mask.png", mask)
        records[index] = record(image, 1, mask_path)
    return records


def test_masks_and_the_warning_about_an_empty_one(
    masked: list[ImageRecord], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, logger="rdvar_jax"):
        masks = decode_masks(masked, S)
    assert (masks.shape, masks.dtype) == ((12, S, S), np.bool_)
    assert [index for index, mask in enumerate(masks) if mask.any()] == [1]
    assert masks[1].sum() == 16
    (warning,) = caplog.records
    assert str(masked[3].mask_path) in warning.getMessage()

    caplog.clear()
    masks = decode_masks(masked, S, threshold="any")
    assert [index for index, mask in enumerate(masks) if mask.any()] == [1, 3]
    assert caplog.records == []


def test_a_mask_of_another_size_than_its_image(tmp_path: Path, masked: list[ImageRecord]):
    mask_path = save(tmp_path / "other_mask.png", np.full((16, 30), 255))
    masked[3] = record(masked[3].path, 1, mask_path)
    with pytest.raises(DataError) as caught:
        decode_masks(masked, S)
    check_sentence(
        caught.value,
        f"The mask {mask_path} has 30x16 pixels",
        f"its image {masked[3].path} has 32x32",
        "make both the same size",
    )
    with pytest.raises(DataError, match=r"30x16 pixels but its image has 16x30"):
        decode_mask(mask_path, S, (16, 30))


def test_without_a_mask_no_pixel_is_defective(masked: list[ImageRecord]):
    assert not decode_masks([record(masked[1].path, 1)], S).any()


def test_a_folder_of_masks_is_one_mask_and_any_value_can_count(tmp_path: Path):
    image = save(tmp_path / "image.png", random_pixels(S, S, 3))
    parts = tmp_path / "image"
    parts.mkdir()
    for row, mode in ((1, None), (3, "I;16")):  # 3 of 65535 would be 0 of 255
        values = np.zeros((S, S), np.uint16)
        values[row] = row
        save(parts / f"{row}.png", values, mode)
    one = dataclasses.replace(record(image, 1, parts), mask_nonzero=True)
    assert decode_masks([one], S)[0].any(axis=1).nonzero()[0].tolist() == [1, 3]
    assert not decode_masks([record(image, 1, parts)], S).any()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty holds no mask; add the masks of .*image.png"):
        decode_masks([record(image, 1, empty)], S)


def test_nothing_is_drawn_unless_on_a_terminal(
    records: list[ImageRecord],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    decode_images(records, S)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    decode_images(records, S)
    assert "Decoding images" in capsys.readouterr().err
    decode_images(records, S, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.real_data
def test_many_real_masks(shared: Path):
    test = find_category(shared / "data/mvtec_256", "screw").test
    masks = decode_masks(test, 256)
    labels = np.array([one.label for one in test])
    np.testing.assert_array_equal(masks.any(axis=(1, 2)), labels == 1)
