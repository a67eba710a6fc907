"""Masks under another layout's names, empty folders of masks, and VisA's list in other spellings.

No image is opened here, so empty files are enough.
"""

from pathlib import Path

import pytest

from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.errors import DataError

VISA = """object,split,label,image,mask
part,train,normal,part/Data/Images/Normal/0.JPG,
part,test,normal,part/Data/Images/Normal/1.JPG,
part,test,anomaly,part/Data/Images/Anomaly/0.JPG,part/Data/Masks/Anomaly/0.png
"""
FOLDERS = ("part/train/good/0.JPG", "part/test/good/1.JPG", "part/test/bad/0.JPG")


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write_list(root: Path, text: str) -> None:
    (root / "split_csv").mkdir()
    (root / "split_csv/1cls.csv").write_text(text)


def problems_of(root: Path, layout: str = "auto") -> list[str]:
    problems: list[str] = []
    find_category(root, "part", layout, problems.append)
    return problems


@pytest.mark.parametrize("change", ["\\", ";", "\t", "\\;", "\ufeff;"])
def test_a_list_with_backslashes_semicolons_or_tabs(tmp_path: Path, change: str):
    names = ("Images/Normal/0.JPG", "Images/Normal/1.JPG", "Images/Anomaly/0.JPG")
    lay_out(tmp_path, *(f"part/Data/{name}" for name in names))
    write_list(tmp_path, VISA)
    expected = find_category(tmp_path, "part")
    assert len(expected.train) == 1 and len(expected.test) == 2
    text = VISA.replace("/", "\\") if "\\" in change else VISA
    for sign in ";\t":
        text = text.replace(",", sign) if sign in change else text
    text = "\ufeff" + text if "\ufeff" in change else text
    (tmp_path / "split_csv/1cls.csv").write_text(text, encoding="utf-8")
    assert find_category(tmp_path, "part") == expected


def test_backslashes_do_not_lead_out_of_the_category(tmp_path: Path):
    write_list(tmp_path, VISA.replace("part/Data/Images/Normal/1", "part\\..\\1"))
    (tmp_path / "part").mkdir()
    with pytest.raises(DataError, match="is not in part/; correct it"):
        find_category(tmp_path, "part")


def test_visa_sorted_into_folders_beside_its_list(tmp_path: Path):
    lay_out(tmp_path, *FOLDERS)
    write_list(tmp_path, VISA)
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("None of the images that ") and problem.endswith(
        "set data.layout=folder if the images were sorted into folders."
    )
    assert [one.label for one in find_category(tmp_path, "part", "folder").test] == [1, 0]


def test_visas_list_without_masks(tmp_path: Path):
    write_list(tmp_path, VISA.replace("part/Data/Masks/Anomaly/0.png", ""))
    lay_out(tmp_path, "part/Data/Images/Normal/0.JPG")
    with pytest.raises(DataError, match=r"no mask; add it, or, .* and set data\.layout=folder\.$"):
        find_category(tmp_path, "part")


def test_visa_converted_with_masks_under_the_images_names(tmp_path: Path):
    lay_out(tmp_path, *FOLDERS, "part/ground_truth/bad/0.png")
    (problem,) = problems_of(tmp_path)
    assert problem == (
        f"The masks in {tmp_path}/part/ground_truth/bad are named like 0.png, not 0_mask.png; set "
        "data.layout=folder, which takes either, or rename them."
    )
    (bad, _) = find_category(tmp_path, "part", "folder").test
    assert bad.mask_path == tmp_path / "part/ground_truth/bad/0.png"


def test_btad_with_masks_under_mvtecs_names(tmp_path: Path):
    lay_out(tmp_path, *(name.replace("good", "ok") for name in FOLDERS))
    lay_out(tmp_path, "part/ground_truth/bad/0_mask.png")
    (problem,) = problems_of(tmp_path)
    assert "set data.layout=folder data.good_names=good,ok, which takes either" in problem
    found = find_category(tmp_path, "part", "folder", good_names=("good", "ok"))
    assert [(one.label, one.mask_path is not None) for one in found.test] == [(1, True), (0, False)]
    assert len(found.train) == 1


@pytest.mark.parametrize("layout", ["auto", "folder"])
def test_a_folder_of_masks_that_holds_none(tmp_path: Path, layout: str):
    lay_out(tmp_path, *FOLDERS)
    (tmp_path / "part/ground_truth/bad").mkdir(parents=True)
    (problem,) = problems_of(tmp_path, layout)
    assert f"{tmp_path}/part/ground_truth holds no mask (png," in problem
    assert "or remove the folder to do without pixel metrics." in problem
    (tmp_path / "part/ground_truth/bad").rmdir()
    (tmp_path / "part/ground_truth").rmdir()
    assert problems_of(tmp_path, layout) == []


def test_unlabelled_images_are_not_all_good_for_want_of_masks(tmp_path: Path):
    lay_out(tmp_path, "part/0.png", "part/test/0.png", "part/masks/notes.txt")
    with pytest.raises(
        DataError, match="every image in .*/test would count as good; put the masks"
    ):
        find_category(tmp_path, "part")
