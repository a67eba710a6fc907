"""A TFDS set has the records, pixels and masks of the folder that it was made from."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from plain_variants import chunk, pixels, png

from rdvar_jax.data.loading.arrays import load_test, load_train
from rdvar_jax.data.pixels.image_file import as_8_bit, image_dimensions, load_image
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.source import find_images
from rdvar_jax.data.sets.tfds_read import find_packed, import_tfds, packed_folder
from rdvar_jax.data.sets.tfds_write import as_stored, build_tfds
from rdvar_jax.errors import ConfigError, DataError, InUseError
from rdvar_jax.files.locks import OUTPUT, locked_folder

SIZE = 32
ROTATED = 6  # EXIF: turned by 90 degrees


def save(path: Path, picture: Image.Image, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two categories, one of every kind of file, the other without masks."""
    root = tmp_path_factory.mktemp("folders")
    good = root / "my part" / "train" / "good"
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    save(good / "plain.png", picture(0))
    save(good / "photo.jpg", picture(1), quality=90)
    save(good / "grey.png", picture(2).convert("L"))
    save(good / "palette.png", picture(3).quantize(16))
    save(good / "alpha.PNG", picture(4).convert("RGBA"))
    save(good / "bitmap.bmp", picture(5))
    save(good / "cmyk.tif", picture(6).convert("CMYK"))
    save(good / "Stück, 7.png", picture(7))
    save(good / "turned.jpg", picture(8).transpose(Image.Transpose.ROTATE_90), exif=exif)
    save(good / "deep.png", Image.fromarray(np.full((40, 48), 51400, np.uint16)))
    mask = Image.new("L", (48, 40))
    mask.paste(255, (10, 10, 30, 30))
    for name in ("good/0", "crack/0", "crack/1"):
        save(root / f"my part/test/{name}.png", picture(20))
    save(root / "my part/ground_truth/crack/0_mask.png", mask)
    save(root / "my part/ground_truth/crack/1_mask.bmp", mask.convert("1"))
    save(root / "unmasked/train/good/0.png", picture(30))
    save(root / "unmasked/test/hole/0.png", picture(31))
    return root


@pytest.fixture(scope="module")
def made(root, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("tfds")
    left = packed_folder(data_dir, "unmasked").with_name("incomplete.AB12CD_1.0.0")
    left.mkdir(parents=True)  # of a kill
    folders = build_tfds(root, data_dir, progress=False)
    assert folders == [packed_folder(data_dir, name) for name in ("my part", "unmasked")]
    assert [path.name for path in left.parent.iterdir()] == ["1.0.0"]
    return data_dir


@pytest.mark.parametrize("name", ["my part", "unmasked"])
def test_the_records_are_the_folders(root, made, name):
    folder, packed = find_category(root, name), find_images(made, name, source="tfds")
    assert (packed.name, packed.layout) == (name, "tfds")
    for split in ("train", "test", "validation"):
        facts = [
            [(r.name, r.label, r.defect, r.mask_path is not None) for r in getattr(category, split)]
            for category in (folder, packed)
        ]
        assert facts[0] == facts[1]


@pytest.mark.parametrize("name", ["my part", "unmasked"])
def test_pixels_masks_and_fingerprint_are_the_folders(root, made, name):
    folder, packed = find_category(root, name), find_packed(made, name)
    train, expected = (load_train(c, SIZE, allow_mixed_sizes=True) for c in (packed, folder))
    np.testing.assert_array_equal(train.images, expected.images)
    assert train.fingerprint == expected.fingerprint
    test, expected = (load_test(category, SIZE) for category in (packed, folder))
    np.testing.assert_array_equal(test.images[:], expected.images[:])
    np.testing.assert_array_equal(test.masks, expected.masks)
    assert test.undefined == expected.undefined
    for one, other in zip(packed.train, folder.train, strict=True):
        assert image_dimensions(one.path) == image_dimensions(other.path)


def test_common_files_are_stored_as_they_are(root, made):
    originals = root / "my part"
    for record in find_packed(made, "my part").train:
        stored, original = record.path.open("rb").read(), (originals / record.name).read_bytes()
        kept = Path(record.name).stem in ("plain", "photo", "Stück, 7")
        assert (stored == original) is kept, record.name


def test_deep_grey_is_stored_with_the_full_scale(tmp_path: Path, caplog):
    good = tmp_path / "root" / "part" / "good"
    good.mkdir(parents=True)
    values = np.random.default_rng(0).integers(0, 4096, (2, SIZE, SIZE))
    caplog.set_level(logging.INFO, "rdvar_jax")
    for number, one in enumerate(values):
        Image.fromarray(one.astype(np.uint16)).save(good / f"{number}.png")
    for given, full_scale in (("auto", 4095), (1023, 1023), ("type", 65535)):
        data_dir = tmp_path / str(given)
        caplog.clear()
        build_tfds(tmp_path / "root", data_dir, full_scale=given, progress=False)
        images = load_train(find_packed(data_dir, "part"), SIZE, progress=False).images
        expected = np.floor(np.minimum(values, full_scale) * 255.0 / full_scale + 0.5)
        np.testing.assert_array_equal(images[..., 0], expected)
        said = {
            "auto": "data.full_scale=auto: 4095",
            1023: "hold grey values above --full_scale=1023, up to",
            "type": "almost black; prepare with --full_scale=4095, or auto.",
        }[given]
        assert caplog.text.count(said) == 1
    with pytest.raises(DataError, match="has 1024 pixels, more than data.max_pixels=1000"):
        build_tfds(tmp_path / "root", tmp_path / "small", max_pixels=1000, progress=False)


def test_any_reader_of_tfds_sees_the_same(root, made):
    builder = import_tfds().builder_from_directory(packed_folder(made, "my part"))
    examples = list(builder.as_data_source("train"))
    assert len(examples) == 10
    for example in examples:
        path = root / "my part" / os.fsdecode(example["path"])
        np.testing.assert_array_equal(
            example["image"], np.asarray(as_8_bit(load_image(path), path, "RGB"))
        )
    for example in builder.as_data_source("test"):
        assert example["mask"].shape == (40, 48, 1)
        assert bool(example["mask"].any()) == bool(example["has_mask"]) == bool(example["label"])


def test_a_set_that_is_there_is_kept(root, made, caplog):
    folder = packed_folder(made, "unmasked")
    before = folder.stat().st_mtime_ns
    with caplog.at_level("INFO", "rdvar_jax"):
        build_tfds(root, made, ["unmasked"], progress=False)
    assert "already exists and is kept; remove it" in caplog.text
    assert folder.stat().st_mtime_ns == before


def test_two_at_once(root, tmp_path):
    category = packed_folder(tmp_path, "unmasked").parent
    with locked_folder(category, OUTPUT, "-"), pytest.raises(InUseError, match="unmasked is in u"):
        build_tfds(root, tmp_path, ["unmasked"], progress=False)
    assert not category.exists()


def test_what_cannot_be_stored_leaves_nothing(root, tmp_path):
    several = tmp_path / "folders" / "loco"
    save(several / "train/good/0.png", picture(0))
    save(several / "test/logical_anomalies/0.png", picture(1))
    for part in range(2):
        mask = Image.new("L", (48, 40), 255)
        save(several / f"ground_truth/logical_anomalies/0/{part}.png", mask)
    with pytest.raises(DataError, match="logical_anomalies/0.png has 2 masks .* from the folder"):
        build_tfds(several.parent, tmp_path / "tfds", progress=False)
    assert not list((tmp_path / "tfds").rglob("*.array_record*"))
    bad = tmp_path / "folders" / "bad"
    save(bad / "train/good/0.png", picture(0))
    save(bad / "test/good/0.png", picture(0))
    (bad / "train/good/1.png").write_bytes(b"")
    with pytest.raises(DataError, match="1.png is empty"):
        build_tfds(several.parent, tmp_path / "tfds", ["bad"], progress=False)
    with pytest.raises(DataError, match="holds no category"):
        build_tfds(tmp_path / "folders" / "bad" / "test", tmp_path / "tfds", progress=False)


def test_errors_name_the_set_and_the_way_out(made, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="category 'nut' in .*: my part, unmasked, or make it with"):
        find_packed(made, "nut")
    with pytest.raises(DataError, match="make it with rdvar prepare --source tfds"):
        find_packed(tmp_path, "nut")
    damaged = packed_folder(tmp_path, "nut")
    damaged.mkdir(parents=True)
    (damaged / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="nut/1.0.0 cannot be read .* again"):
        find_packed(tmp_path, "nut")
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_datasets", None)
    with pytest.raises(ConfigError, match=r"install rdvar-jax\[tfds\], or read the images"):
        import_tfds()


def test_a_file_that_other_readers_refuse_is_stored_as_another(tmp_path):
    values = pixels(3)
    path = tmp_path / "a.png"
    path.write_bytes(png(values, 8, 2, chunk(b"zTXt", b"Comment\0\7 of an unknown compression")))
    stored = tmp_path / "stored.png"
    stored.write_bytes(as_stored(path, "RGB"))
    with Image.open(stored) as image:
        np.testing.assert_array_equal(np.asarray(image), values)
