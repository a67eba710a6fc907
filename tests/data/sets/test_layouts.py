"""Each layout gives the same kind of records; ambiguous folders raise a clear error.

No image is opened here, so empty files are enough.
"""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.loading.arrays import load_test
from rdvar_jax.data.sets.folder import detect_layout, find_category, list_categories
from rdvar_jax.data.sets.records import UNLABELLED, Category
from rdvar_jax.errors import DataError

VISA_HEADER = "object,split,label,image,mask\n"
VISA_ROWS = (
    "candle,train,normal,candle/Data/Images/Normal/0001.JPG,",
    "candle,train,normal,candle/Data/Images/Normal/0000.JPG,",
    "candle,test,normal,candle/Data/Images/Normal/0002.JPG,",
    "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png",
    "fryum,train,normal,fryum/Data/Images/Normal/0000.JPG,",
)


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def lay_out_visa(root: Path, *rows: str, header: str = VISA_HEADER) -> Path:
    lay_out(root, "split_csv/1cls.csv", "candle/Data/Images/Normal/0000.JPG")
    (root / "split_csv/1cls.csv").write_text(header + "\n".join(rows) + "\n")
    return root


def outline(category: Category) -> list[tuple[str, int, str, str | None]]:
    """Name, label, kind and mask of each test image."""
    return [
        (
            one.name,
            one.label,
            one.defect,
            one.mask_path and one.mask_path.relative_to(category.folder).as_posix(),
        )
        for one in category.test
    ]


def names_of(records) -> list[str]:
    return [record.name for record in records]


def test_visa(tmp_path: Path):
    lay_out_visa(tmp_path, *VISA_ROWS)
    category = find_category(tmp_path, "candle")
    assert (category.layout, category.name) == ("visa", "candle")
    assert names_of(category.train) == [f"Data/Images/Normal/000{i}.JPG" for i in (0, 1)]
    assert outline(category) == [
        ("Data/Images/Anomaly/000.JPG", 1, "anomaly", "Data/Masks/Anomaly/000.png"),
        ("Data/Images/Normal/0002.JPG", 0, "good", None),
    ]
    assert category.test[0].mask_nonzero
    assert list_categories(tmp_path) == ["candle", "fryum"]


def test_btad(tmp_path: Path):
    lay_out(
        tmp_path,
        *("01/train/ok/0000.bmp", "01/test/ok/0000.bmp", "01/test/ko/0003.bmp"),
        "01/ground_truth/ko/0003.png",
    )
    category = find_category(tmp_path, "01")
    assert category.layout == "btad"
    assert [(one.name, one.defect) for one in category.train] == [("train/ok/0000.bmp", "good")]
    assert outline(category) == [
        ("test/ko/0003.bmp", 1, "ko", "ground_truth/ko/0003.png"),
        ("test/ok/0000.bmp", 0, "good", None),
    ]


def test_mvtec_loco(tmp_path: Path):
    lay_out(
        tmp_path,
        *("pins/train/good/0.png", "pins/validation/good/0.png", "pins/test/good/0.png"),
        *("pins/test/logical_anomalies/0.png", "pins/test/structural_anomalies/0.png"),
        *(f"pins/ground_truth/logical_anomalies/0/00{i}.png" for i in range(2)),
        "pins/ground_truth/structural_anomalies/0/000.png",
    )
    category = find_category(tmp_path, "pins")
    assert category.layout == "mvtec"
    assert names_of(category.validation) == ["validation/good/0.png"]
    kinds = ("logical_anomalies", "structural_anomalies")
    assert outline(category) == [
        ("test/good/0.png", 0, "good", None),
        *((f"test/{kind}/0.png", 1, kind, f"ground_truth/{kind}/0") for kind in kinds),
    ]
    assert all(one.mask_nonzero for one in category.test if one.label)
    lay_out(tmp_path, "pins/ground_truth/logical_anomalies/7/000.png")
    with pytest.raises(DataError, match=r"logical_anomalies/7 matches no test image"):
        find_category(tmp_path, "pins")


def test_mvtec_ad_2(tmp_path: Path):
    lay_out(
        tmp_path,
        *("can/train/good/0.png", "can/validation/good/0.png", "can/test_private/1.png"),
        *("can/test_public/good/0.png", "can/test_public/bad/0.png"),
        "can/test_public/ground_truth/bad/0_mask.png",
    )
    category = find_category(tmp_path, "can")
    assert names_of(category.validation) == ["validation/good/0.png"]
    assert outline(category) == [
        ("test_public/bad/0.png", 1, "bad", "test_public/ground_truth/bad/0_mask.png"),
        ("test_public/good/0.png", 0, "good", None),
    ]


@pytest.mark.parametrize("place", ["", "good/", "train/"])
def test_a_plain_folder_of_good_images(tmp_path: Path, place: str):
    lay_out(tmp_path, f"part/{place}b.PNG", f"part/{place}a.png")
    category = find_category(tmp_path, "part")
    assert (category.layout, category.test) == ("folder", ())
    assert names_of(category.train) == [f"{place}a.png", f"{place}b.PNG"]
    assert {one.defect for one in category.train} == {"good"}


def test_a_plain_folder_with_kinds_of_defects_and_masks(tmp_path: Path):
    lay_out(
        tmp_path,
        *("part/good/0.png", "part/test/good/0.png", "part/test/dent/0.png"),
        *("part/test/dent/1.png", "part/masks/dent/0.png", "part/masks/dent/1_mask.png"),
    )
    assert outline(find_category(tmp_path, "part")) == [
        ("test/dent/0.png", 1, "dent", "masks/dent/0.png"),
        ("test/dent/1.png", 1, "dent", "masks/dent/1_mask.png"),
        ("test/good/0.png", 0, "good", None),
    ]


def test_plain_test_images_have_the_labels_that_masks_give_or_none(tmp_path: Path):
    lay_out(tmp_path, "part/0.png", "part/test/0.png", "part/test/1.png")
    assert {(one.label, one.defect) for one in find_category(tmp_path, "part").test} == {
        (UNLABELLED, "unlabelled")
    }
    lay_out(tmp_path, "part/ground_truth/1.png")
    assert outline(find_category(tmp_path, "part")) == [
        ("test/0.png", 0, "good", None),
        ("test/1.png", 1, "defective", "ground_truth/1.png"),
    ]


@pytest.mark.parametrize("layout", ["mvtec", "folder"])
def test_a_set_without_masks_or_without_defects(tmp_path: Path, layout: str):
    for number, name in enumerate(("train/good/0", "test/good/0", "test/dent/0")):
        path = tmp_path / f"part/{name}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(path)
    test = load_test(find_category(tmp_path, "part", layout), 8)
    assert test.undefined == {"pixel": "the set has no masks"}
    assert not test.masks.any() and test.has_labels
    (tmp_path / "part/test/dent/0.png").unlink()
    test = load_test(find_category(tmp_path, "part", layout), 8)
    assert test.undefined == dict.fromkeys(("image", "pixel"), "there is no defective test image")
    (tmp_path / "part/test/good/0.png").rename(tmp_path / "part/test/0.png")
    if layout == "folder":
        (tmp_path / "part/test/good").rmdir()
        (tmp_path / "part/test/dent").rmdir()
        test = load_test(find_category(tmp_path, "part", layout), 8)
        assert test.undefined["image"] == "the test images have no labels"


def test_a_named_layout_is_not_detected(tmp_path: Path):
    lay_out(tmp_path, "part/train/good/0.png")
    assert detect_layout(tmp_path / "part") == ("mvtec", "it has train/good")
    with pytest.raises(DataError, match="or set data.layout=folder to train without test images"):
        find_category(tmp_path, "part")
    assert find_category(tmp_path, "part", "folder").layout == "folder"
    with pytest.raises(DataError, match="part/train/ok does not exist"):
        find_category(tmp_path, "part", "btad")
    with pytest.raises(DataError, match=r"split_csv/1cls.csv does not exist; put VisA's list"):
        find_category(tmp_path, "part", "visa")


def test_odd_names_links_and_many_files(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    store = lay_out(tmp_path / "store", *(f"Bild {i:05} \u00e4\u732b.JPG" for i in range(10_000)))
    root = lay_out(tmp_path / "data", "Teil \u00e4/test/good/0.png", "Teil \u00e4/train/x.txt")
    (root / "Teil \u00e4/train/good").symlink_to(store, target_is_directory=True)
    store.chmod(0o555)
    try:
        with caplog.at_level(logging.ERROR):
            category = find_category(root, "Teil \u00e4")
    finally:
        store.chmod(0o755)
    assert len(category.train) == 10_000
    assert category.train[-1].name == "train/good/Bild 09999 \u00e4\u732b.JPG"
