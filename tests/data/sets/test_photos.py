"""Photographs without a layout: names, kinds, and folders that cannot be meant."""

from pathlib import Path

import pytest

from rdvar_jax.data.sets.photos import category_name, find_photos, labelled_folder
from rdvar_jax.errors import DataError


def photos(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")
    return folder


def test_any_names_at_any_depth(tmp_path):
    good = photos(tmp_path / "line 1", "a.png", "Schicht 2/été.JPG", "x/y/=1+1.bmp", "notes.txt")
    bad = photos(tmp_path / "ng", "plain.png", "kratzer/1.png", "kratzer/tief/2.png", "dent/3.png")
    found = find_photos([good], [bad])
    assert [one.name for one in found.train] == [
        *("good/Schicht 2/été.JPG", "good/a.png", "good/x/y/=1+1.bmp"),
    ]
    assert {one.label for one in found.train} == {0} and found.name == "line 1"
    assert [(one.name, one.defect, one.label) for one in found.test] == [
        ("bad/dent/3.png", "dent", 1),
        ("bad/kratzer/1.png", "kratzer", 1),
        ("bad/kratzer/tief/2.png", "kratzer", 1),
        ("bad/plain.png", "defective", 1),
    ]


def test_several_folders_of_defects_are_kinds(tmp_path):
    good = photos(tmp_path / "good", "a.png")
    bad = photos(tmp_path / "dent", "a.png", "deep/b.png"), photos(tmp_path / "hole_2", "a.png")
    found = find_photos([good], bad)
    assert [one.defect for one in found.test] == ["dent", "deep", "hole_2"]


def test_several_folders_may_hold_the_same_names(tmp_path):
    one, two = photos(tmp_path / "1/new", "a.png"), photos(tmp_path / "2/new", "a.png", "b.png")
    found = find_photos([one, two, two / "b.png"])
    assert [record.name for record in found.train] == [
        "good/1_new/a.png",
        "good/2_new/a.png",
        "good/2_new/b.png",
    ]


@pytest.mark.parametrize("name", ["bad", "NG", "not_good", "my defects", "2_Ausschuss", "masks"])
def test_a_folder_that_sounds_of_defects_is_not_trained_on(tmp_path, name):
    good = photos(tmp_path / "parts", "a.png", f"{name}/b.png")
    with pytest.raises(DataError, match=f"{name}, whose name does not sound of good.*--bad"):
        find_photos([good])


@pytest.mark.parametrize("name", ["badge", "morning", "engine", "shift 2", "scrapbook", "good"])
def test_other_names_are_trained_on(tmp_path, name):
    assert len(find_photos([photos(tmp_path / "parts", f"{name}/b.png")]).train) == 1


def test_an_image_is_not_both_good_and_bad(tmp_path):
    good = photos(tmp_path / "all", "a.png", "b.png")
    with pytest.raises(DataError, match="given both as a good image and"):
        find_photos([good], [good / "b.png"])


def test_a_set_with_a_layout_is_recognised(tmp_path):
    assert labelled_folder(photos(tmp_path / "screw", "train/good/0.png")) == "it has train/good"
    nut = photos(tmp_path / "nut", "good/0.png", "test/dent/0.png")
    assert labelled_folder(nut) == "it has good and no train"
    assert labelled_folder(photos(tmp_path / "bolt", "good/deep/0.png")) is None
    assert labelled_folder(photos(tmp_path / "photos", "0.png", "x/1.png")) is None
    assert labelled_folder(photos(tmp_path / "deep", "x/1.png")) is None
    assert labelled_folder(tmp_path / "photos" / "0.png") is None


def test_the_run_has_the_name_of_the_first_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert category_name([Path("parts/new"), Path("other")]) == "new"
    assert category_name([Path(".")]) == tmp_path.name
    assert category_name([Path("blister/train/good")]) == "blister"
    assert category_name([Path("/good")]) == "good"
