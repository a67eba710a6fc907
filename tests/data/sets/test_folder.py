"""The MVTec AD layout: images found, their order, and the error messages.

Nothing in `folder.py` opens an image, so empty files are enough here.
"""

import logging
from pathlib import Path

import pytest

from rdvar_jax.data.sets.folder import Category, find_category, list_categories
from rdvar_jax.errors import DataError

WHOLE = (
    "widget/train/good/001.png",
    "widget/train/good/000.png",
    "widget/test/good/000.png",
    "widget/test/hole/000.png",
    "widget/test/hole/001.png",
    "widget/test/bent/000.png",
    "widget/ground_truth/hole/000_mask.png",
    "widget/ground_truth/hole/001_mask.png",
    "widget/ground_truth/bent/000_mask.png",
)


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "data", *WHOLE)


def test_records_of_a_whole_category(root: Path):
    category = find_category(root, "widget")
    folder = root / "widget"
    assert category.name == "widget"
    assert category.folder == folder
    assert [record.name for record in category.train] == [
        "train/good/000.png",
        "train/good/001.png",
    ]
    assert [
        (record.name, record.label, record.defect, record.mask_path) for record in category.test
    ] == [
        ("test/bent/000.png", 1, "bent", folder / "ground_truth/bent/000_mask.png"),
        ("test/good/000.png", 0, "good", None),
        ("test/hole/000.png", 1, "hole", folder / "ground_truth/hole/000_mask.png"),
        ("test/hole/001.png", 1, "hole", folder / "ground_truth/hole/001_mask.png"),
    ]
    for record in category.train:
        assert (record.label, record.defect, record.mask_path) == (0, "good", None)
    for record in category.train + category.test:
        assert record.path == folder / record.name


def test_order_does_not_depend_on_the_file_system(root: Path, monkeypatch: pytest.MonkeyPatch):
    expected = find_category(root, "widget")
    listed = Path.iterdir

    def backwards(folder: Path):
        return iter(sorted(listed(folder), reverse=True))

    monkeypatch.setattr(Path, "iterdir", backwards)
    assert find_category(root, "widget") == expected


def test_every_suffix_in_any_case_and_masks_of_another_suffix(tmp_path: Path):
    suffixes = ("png", "jpg", "jpeg", "bmp", "tif", "tiff", "PNG", "Jpg", "TIFF")
    files = [f"widget/train/good/{number}.{suffix}" for number, suffix in enumerate(suffixes)]
    lay_out(tmp_path, *files, "widget/test/hole/7.jpg", "widget/ground_truth/hole/7_mask.BMP")
    category = find_category(tmp_path, "widget")
    assert len(category.train) == len(suffixes)
    mask_path = category.test[0].mask_path
    assert mask_path is not None and mask_path.name == "7_mask.BMP"


def test_any_folder_is_a_category_and_a_string_is_a_root(tmp_path: Path):
    lay_out(tmp_path, *(name.replace("widget", "Blech 3 (neu)") for name in WHOLE))
    assert find_category(str(tmp_path), "Blech 3 (neu)").name == "Blech 3 (neu)"  # pyright: ignore


def test_a_root_may_begin_with_the_home_folder(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(root.parent))
    assert find_category(Path("~/data"), "widget") == find_category(root, "widget")


def test_list_categories_is_sorted_and_skips_what_is_none(root: Path):
    lay_out(root, "anvil/train/good/0.png", "license.txt", "results/a.png", ".cache/train/x.png")
    assert list_categories(root) == ["anvil", "widget"]


def test_hidden_files_are_ignored_silently(root: Path, caplog: pytest.LogCaptureFixture):
    expected = find_category(root, "widget")
    lay_out(
        root,
        "widget/train/good/._000.png",
        "widget/train/good/.DS_Store",
        "widget/test/.DS_Store",
        "widget/test/.cache/000.png",
        "widget/ground_truth/hole/._000_mask.png",
    )
    assert find_category(root, "widget") == expected
    assert caplog.records == []


@pytest.mark.parametrize(
    "stray",
    [
        "widget/train/good/Thumbs.db",
        "widget/train/good/notes.txt",
        "widget/train/good/picture.gif",
        "widget/train/good/more/000.png",
        "widget/train/bad/000.png",
        "widget/train/loose.png",
        "widget/test/hole/notes.txt",
        "widget/test/loose.png",
        "widget/ground_truth/hole/Thumbs.db",
        "widget/ground_truth/loose.png",
    ],
)
def test_what_is_not_part_of_the_layout_is_left_out_with_a_warning(
    root: Path, stray: str, caplog: pytest.LogCaptureFixture
):
    expected = find_category(root, "widget")
    lay_out(root, stray)
    with caplog.at_level(logging.WARNING, logger="rdvar_jax"):
        assert find_category(root, "widget") == expected
    (record,) = caplog.records
    path = root / stray
    left_out = path.parent if path.parent.name in ("more", "bad") else path
    assert str(left_out.parent) in record.getMessage()
    assert left_out.name in record.getMessage()


def test_masks_of_good_images_mean_nothing(root: Path):
    expected = find_category(root, "widget")
    lay_out(root, "widget/ground_truth/good/000_mask.png")
    assert find_category(root, "widget") == expected


def test_a_test_set_without_good_images_is_allowed(root: Path):
    (root / "widget/test/good/000.png").unlink()
    assert {record.label for record in find_category(root, "widget").test} == {1}


def check_sentence(error: DataError, named: list[str], mend: str, **places: object):
    message = str(error)
    for part in [*named, mend]:
        assert part.format(**places) in message
    assert message.endswith(".") and "\n" not in message
    assert message.count(". ") == 0, "one sentence"


@pytest.mark.parametrize("name", ["absent", "file"])
def test_root_that_is_no_folder(tmp_path: Path, name: str):
    (tmp_path / "file").touch()
    for find in (list_categories, lambda root: find_category(root, "widget")):
        with pytest.raises(DataError) as caught:
            find(tmp_path / name)
        check_sentence(
            caught.value,
            ["data.root: there is no folder {path}"],
            "set data.root to the folder that holds the categories",
            path=tmp_path / name,
        )


def test_root_that_is_a_category(root: Path):
    with pytest.raises(DataError) as caught:
        find_category(root / "widget", "widget")
    check_sentence(
        caught.value,
        ["is itself a category's folder"],
        "set data.root={root} and data.category=widget",
        root=root,
    )


def test_root_without_categories(tmp_path: Path):
    with pytest.raises(DataError) as caught:
        find_category(tmp_path, "widget")
    check_sentence(
        caught.value,
        ["data.root={root}, which holds no categories"],
        "set data.root to the folder whose sub-folders hold train/good and test",
        root=tmp_path,
    )


def test_what_a_root_without_categories_holds_is_listed(tmp_path: Path):
    lay_out(tmp_path, "docs/a.txt", "licence.txt", "out/inner/deep/a.png")
    with pytest.raises(DataError) as caught:
        find_category(tmp_path, "widget")
    check_sentence(
        caught.value,
        ["holds no categories but the folders docs, out and the files licence.txt"],
        "set data.root to the folder whose sub-folders hold train/good and test",
    )
    lay_out(tmp_path, "out/screw/train/good/a.png")
    with pytest.raises(DataError, match=rf"; set data.root to {tmp_path}/out\.$"):
        find_category(tmp_path, "screw")


def test_folders_of_images_are_offered_where_none_is_sorted(tmp_path: Path):
    lay_out(tmp_path, "anvil/a.png", "notes/a.txt", "widget/b.png")
    with pytest.raises(DataError, match=r"one of: anvil, widget\.$"):
        find_category(tmp_path, "screw")


def test_a_root_that_holds_images_is_a_category_under_its_own_name(tmp_path: Path, monkeypatch):
    lay_out(tmp_path, "widget/b.png", "widget/a.png")
    root = tmp_path / "widget"
    assert find_category(root, "widget") == find_category(tmp_path, "widget")
    monkeypatch.chdir(root)
    assert find_category(Path(), "widget") == find_category(tmp_path, "widget")
    with pytest.raises(DataError) as caught:
        find_category(root, "parts")
    check_sentence(
        caught.value,
        ["no category 'parts' in data.root={root}, which is itself a category's folder"],
        "set data.root={above} and data.category=widget.",
        root=root,
        above=tmp_path,
    )


def test_at_most_fifteen_categories_are_listed(tmp_path: Path):
    lay_out(tmp_path, *(f"c{number:02}/train/good/0.png" for number in range(18)))
    with pytest.raises(DataError, match=r"one of: c00, .*, c14 and 3 more\.$"):
        find_category(tmp_path, "widget")


def test_a_folder_that_cannot_be_listed(root: Path, monkeypatch: pytest.MonkeyPatch):
    # Root can read everything, so the error is simulated.
    def refuse(folder: Path):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError) as caught:
        find_category(root, "widget")
    check_sentence(caught.value, ["{root}"], "grant read access to it", root=root)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "num_train", "num_good", "num_defective"),
    [("screw", 320, 41, 119), ("leather_tiles", 64, 32, 21)],
)
def test_counts_of_real_sets(
    shared: Path, name: str, num_train: int, num_good: int, num_defective: int
):
    category: Category = find_category(shared / "data/mvtec_256", name)
    labels = [record.label for record in category.test]
    assert (len(category.train), labels.count(0), labels.count(1)) == (
        num_train,
        num_good,
        num_defective,
    )


@pytest.mark.real_data
def test_real_categories_are_listed(shared: Path):
    assert list_categories(shared / "data/mvtec_256") == ["leather_tiles", "screw"]
