"""Which values of masks are defective, decided from all of them, in every kind of file."""

from pathlib import Path

import numpy as np
import pytest
from mask_kinds import (
    BOTH,
    CLASSES,
    FIRST,
    HALVES,
    NOISY,
    NOISY_CLASSES,
    NUMBERS,
    SECOND,
    SIDE,
    Write,
    as_values,
)
from PIL import Image, ImageDraw

from rdvar_jax.data.loading.mask_survey import MaskChoice, choose_threshold
from rdvar_jax.data.pixels.decode import decode_masks
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.records import ImageRecord

PARTS = (BOTH, FIRST, SECOND)  # of the three records

# Pixels that are not within three of an edge, where a JPEG may err.
INSIDE = np.ones((SIDE, SIDE), np.bool_)
for region in (FIRST, SECOND):
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    for row in (rows[0], rows[-1] + 1):
        INSIDE[row - 3 : row + 3, columns[0] - 3 : columns[-1] + 4] = False
    for column in (columns[0], columns[-1] + 1):
        INSIDE[rows[0] - 3 : rows[-1] + 4, column - 3 : column + 3] = False


def records_of(folder: Path, name: str, write: Write) -> list[ImageRecord]:
    """Three images: both defects, the first alone, the second alone."""
    folder.mkdir(exist_ok=True)
    image = folder / "image.png"
    Image.new("RGB", (SIDE, SIDE)).save(image)
    records = []
    for index, seen in enumerate((BOTH, FIRST, SECOND)):
        path = folder / f"{index} {name}"
        write(NUMBERS * seen, path)
        records.append(ImageRecord(image, f"test/bad/{index}.png", 1, "bad", path))
    return records


def num_wrong(masks: np.ndarray) -> int:
    """Pixels that are wrong, those near an edge aside."""
    return int((masks != np.array(PARTS))[:, INSIDE].sum())


def choose(records: list[ImageRecord], setting: str | int = "auto") -> MaskChoice:
    return choose_threshold(records, setting, num_workers=1)


def decode(records: list[ImageRecord], setting: str | int, size: int = SIDE) -> np.ndarray:
    return decode_masks(records, size, threshold=setting, num_workers=1, warn_empty=False)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_read_as_if_they_were_white(tmp_path, name):
    records = records_of(tmp_path / "classes", name, CLASSES[name])
    white = records_of(tmp_path / "white", "white.png", as_values(0, 255, 255))
    choice = choose(records)
    assert (choice.threshold, choice.problem, choice.remark) == (1, None, None)
    np.testing.assert_array_equal(decode(records, 1), PARTS)
    np.testing.assert_array_equal(decode(records, 1, 40), decode(white, "half", 40))
    np.testing.assert_array_equal(decode(records, "any", 40), decode(white, "any", 40))
    # What "half" loses is said.
    lost = decode(records, "half").sum(axis=(1, 2)) < [BOTH.sum(), FIRST.sum(), SECOND.sum()]
    assert lost.any()
    said = choose(records, "half")
    assert "set data.mask_threshold=any" in (said.problem or said.remark or "")
    assert (said.problem is not None) == (not decode(records, "half").any())


@pytest.mark.parametrize("name", HALVES)
def test_masks_of_two_values_stay_at_half(tmp_path, name):
    records = records_of(tmp_path, name, HALVES[name])
    assert choose(records) == MaskChoice("half", values=choose(records).values)
    assert choose(records, "half") == choose(records)
    np.testing.assert_array_equal(decode(records, "half"), PARTS)
    if name != "palette, grey and white.png":  # its background is not black
        np.testing.assert_array_equal(decode(records, "any"), PARTS)


@pytest.mark.parametrize("name", NOISY)
def test_the_noise_of_a_jpeg_is_not_a_class(tmp_path, name):
    records = records_of(tmp_path, name, NOISY[name])
    choice = choose(records)
    assert (choice.threshold, choice.problem, choice.remark) == ("half", None, None)
    assert num_wrong(decode(records, "half")) <= 6
    if name.endswith("jpg"):  # once it is a PNG, any value is meant
        some = decode(records, "any")
        assert num_wrong(some) <= 6
        with Image.open(str(records[0].mask_path)) as image:
            assert (np.asarray(image.convert("L")) > 0).sum() > some[0].sum()


@pytest.mark.parametrize("name", NOISY_CLASSES)
def test_classes_are_found_through_the_noise(tmp_path, name):
    records = records_of(tmp_path, name, NOISY_CLASSES[name])
    choice = choose(records)
    assert isinstance(choice.threshold, int) and 5 <= choice.threshold <= 30
    found = decode(records, choice.threshold)
    assert num_wrong(found) <= 6
    assert abs(int(found[0].sum()) - int(BOTH.sum())) < 0.2 * BOTH.sum()
    assert "set data.mask_threshold=any" in f"{choose(records, 'half')}"


def test_soft_edges_and_lines_are_not_classes(tmp_path):
    """Masks resized once: soft edges stay at half; lines that it made faint are said."""
    rng = np.random.default_rng(0)
    image = tmp_path / "image.png"
    Image.new("RGB", (256, 256)).save(image)
    for widths, threshold in (((12,), "half"), ((1, 8), "half"), ((1,), 7)):
        records = []
        for index in range(8):
            large = Image.new("L", (1024, 1024))
            ends = [tuple(map(int, end)) for end in rng.integers(100, 900, (2, 2))]
            ImageDraw.Draw(large).line(ends, fill=255, width=widths[index % len(widths)])
            path = tmp_path / f"{widths} {index}.png"
            large.resize((256, 256), Image.Resampling.BILINEAR).save(path)
            records.append(ImageRecord(image, f"{index}.png", 1, "line", path))
        choice = choose(records)
        assert (choice.threshold, choice.problem) == (threshold, None)
        assert (choice.remark is not None) == (widths == (1, 8))


def test_the_sentences(tmp_path):
    records = records_of(tmp_path, "a.png", CLASSES["0 and 1.png"])
    assert choose(records, "half").problem == (
        "no mask marks a pixel at data.mask_threshold=half: the highest value is 1; set "
        "data.mask_threshold=any"
    )
    assert choose(records, 2).problem == (
        "no mask marks a pixel at data.mask_threshold=2: the highest value is 1; set "
        "data.mask_threshold=any"
    )
    records = records_of(tmp_path, "b.png", CLASSES["wide 255.png"])
    assert "the highest value is 255 of 16 bits; set" in str(choose(records, "half").problem)
    records = records_of(tmp_path, "c.png", CLASSES["100 and 200.png"])
    share = 100 * FIRST.sum() / BOTH.sum()
    for setting, lowest in (("half", 128), (150, 150)):
        assert choose(records, setting).remark == (
            f"{share:.2g}% of the marked pixels have values under {lowest}, most often 100 (such "
            f"as in {records[1].mask_path}), and data.mask_threshold={setting} drops them; set "
            "data.mask_threshold=any if they are defects too."
        )
    assert choose(records, 100) == MaskChoice(100, values="0, 100, 200")
    records = records_of(tmp_path, "d.png", as_values(0, 0, 0))
    for setting in ("auto", "half", "any"):
        assert choose(records, setting).problem == (
            "every mask is black (the highest value is 0); mark the defects with values above 0, "
            "or remove the masks"
        )


def test_one_mask_in_numbers_among_white_ones(tmp_path):
    white = records_of(tmp_path, "a.png", as_values(0, 255, 255))
    records = [*white[:2], *records_of(tmp_path, "b.png", as_values(0, 1, 1))[2:]]
    assert choose(records).threshold == 1
    np.testing.assert_array_equal(decode(records, 1), PARTS)


def test_where_the_layout_says_what_counts_nothing_is_decided(tmp_path):
    records = [
        ImageRecord(one.path, one.name, 1, "bad", one.mask_path, True)
        for one in records_of(tmp_path, "a.png", CLASSES["classes.png"])
    ]
    for setting in ("auto", "half"):
        assert choose(records, setting) == MaskChoice("half")
        np.testing.assert_array_equal(decode(records, "half"), PARTS)


def test_without_masks_and_with_bad_ones(tmp_path):
    assert choose([]) == MaskChoice("half")
    records = records_of(tmp_path, "a.png", CLASSES["classes.png"])
    (tmp_path / "0 a.png").write_bytes(b"")  # `decode_masks` says so
    assert choose(records).threshold == 1


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["screw", "leather_tiles"])
def test_real_masks_soft_or_clean_stay_at_half(shared: Path, name: str):
    test = find_category(shared / "data/mvtec_256", name).test
    choice = choose(list(test))
    assert (choice.threshold, choice.problem, choice.remark) == ("half", None, None)
