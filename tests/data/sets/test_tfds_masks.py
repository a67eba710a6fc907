"""Masks of every kind mark the same from a TFDS set as from the folder that it was made of."""

from pathlib import Path

import numpy as np
import pytest
from mask_kinds import CLASSES, HALVES, NOISY, NOISY_CLASSES, NUMBERS, SIDE
from PIL import ExifTags, Image

from rdvar_jax.data.loading.arrays import load_test
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.tfds_read import find_packed
from rdvar_jax.data.sets.tfds_write import build_tfds
from rdvar_jax.errors import DataError


def write_parts(folder: Path, size_wh: tuple[int, int] = (SIDE, SIDE)) -> None:
    for name in ("train/good/0.png", "test/good/0.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size_wh).save(path)
    for name in ("test/bad", "ground_truth/bad"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def test_masks_from_a_set_are_the_folders(tmp_path):
    """One category per group, so that each has its own threshold."""
    root = tmp_path / "folders"
    for group, kinds in enumerate((CLASSES, HALVES, NOISY, NOISY_CLASSES)):
        folder = root / f"part{group}"
        write_parts(folder)
        for index, (name, write) in enumerate(kinds.items()):
            Image.new("RGB", (SIDE, SIDE)).save(folder / f"test/bad/{index}.png")
            suffix = Path(name).suffix
            write(NUMBERS, folder / f"ground_truth/bad/{index}_mask{suffix}")
    build_tfds(root, tmp_path / "tfds", progress=False)
    for group in range(4):
        name = f"part{group}"
        folder, packed = find_category(root, name), find_packed(tmp_path / "tfds", name)
        for setting in ("auto", "any", 60):
            one, other = (load_test(c, 40, threshold=setting, num_workers=1, progress=False)
                          for c in (folder, packed))  # fmt: skip
            assert one.mask_threshold == other.mask_threshold
            np.testing.assert_array_equal(one.masks, other.masks)
            assert one.masks.any()


def test_masks_on_their_side(tmp_path):
    root = tmp_path / "folders"
    folder = root / "part"
    write_parts(folder, (32, 64))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (64, 32)).save(folder / "test/bad/0.png", exif=exif)
    mask = Image.new("L", (64, 32))
    mask.paste(255, (40, 3, 50, 20))
    mask.save(folder / "ground_truth/bad/0_mask.png")
    data_dir = tmp_path / "tfds"
    with pytest.raises(DataError) as caught:
        build_tfds(root, data_dir, progress=False)
    assert "set --mask_orientation image if masks are stored like their images" in str(caught.value)
    build_tfds(root, data_dir, mask_orientation="image", progress=False)
    expected = load_test(
        find_category(root, "part"), (64, 32), orientation="image", num_workers=1, progress=False
    )
    packed = find_packed(data_dir, "part")
    for orientation in ("own", "image", "upright"):
        found = load_test(packed, (64, 32), orientation=orientation, num_workers=1, progress=False)
        np.testing.assert_array_equal(found.masks, expected.masks)
    assert expected.masks[0].sum() == 170
