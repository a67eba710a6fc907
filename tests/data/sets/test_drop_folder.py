"""DropFolder: each image is returned once, when its file is complete."""

import os
import shutil
from pathlib import Path

import pytest

from rdvar_jax.data.sets.drop_folder import DropFolder
from rdvar_jax.errors import DataError


def write(path: Path, text: str, time: int = 1_000_000_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(time, time))
    return path


def names(folder: DropFolder) -> list[str]:
    return [image.name for image in folder.poll()]


def test_a_file_is_given_once_after_an_interval_without_change(tmp_path):
    folder = DropFolder(tmp_path)
    write(tmp_path / "a.png", "half")
    assert names(folder) == []  # seen for the first time
    write(tmp_path / "a.png", "half and more")
    assert names(folder) == []  # it grew
    write(tmp_path / "a.png", "half and more", time=2_000_000_000)
    assert names(folder) == []  # written again, as long as before
    assert names(folder) == ["a.png"]
    write(tmp_path / "a.png", "another")
    assert names(folder) == names(folder) == []


def test_the_oldest_comes_first_at_any_depth_and_only_images_count(tmp_path):
    write(tmp_path / "b.png", "x", time=1)
    write(tmp_path / "sub" / "ü" / "a.JPG", "x", time=3)
    write(tmp_path / "c.tif", "x", time=2)
    for name in (".hidden.png", "notes.txt", ".folder/d.png"):
        write(tmp_path / name, "x")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "missing")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    folder = DropFolder(tmp_path)
    folder.poll()
    images = folder.poll()
    assert [image.name for image in images] == ["b.png", "c.tif", "sub/ü/a.JPG"]
    assert images[2].path == tmp_path / "sub" / "ü" / "a.JPG"


def test_each_folder_is_entered_once_and_the_output_never(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    for path in ("in/a/1.png", "in/b/2.png", "other/3.png", "out/heat_maps/4.png", "file/5.png"):
        write(tmp_path / path, "x")
    # The output by links to it, into it, to what holds it, and to a file in it.
    (folder / "out").symlink_to(output)
    (folder / "maps").symlink_to(output / "heat_maps")
    (folder / "up").symlink_to(tmp_path)
    (folder / "4.png").symlink_to(output / "heat_maps" / "4.png")
    (folder / "5.png").symlink_to(tmp_path / "file" / "5.png")
    # Links between folders in all directions: as many ways as there are orders of them.
    for number in range(9):
        (folder / f"c{number}").mkdir()
        for other in range(9):
            (folder / f"c{number}" / f"l{other}").symlink_to(folder / f"c{other}")
        (folder / f"c{number}" / "other").symlink_to(tmp_path / "other")
    write(folder / "c8" / "6.png", "x")
    drop = DropFolder(folder, output=output)
    drop.poll()
    assert sorted(names(drop)) == [
        *("5.png", "a/1.png", "b/2.png", "c0/other/3.png", "c8/6.png", "up/file/5.png")
    ]


def test_what_is_done_is_not_given(tmp_path):
    write(tmp_path / "a.png", "x")
    write(tmp_path / "sub" / "b.png", "x")
    folder = DropFolder(tmp_path, {"sub/b.png"})
    folder.poll()
    assert names(folder) == ["a.png"]


def test_a_bad_file_is_given_again_when_it_has_changed(tmp_path):
    write(tmp_path / "a.png", "bad")
    folder = DropFolder(tmp_path)
    folder.poll()
    (image,) = folder.poll()
    folder.give_again_if_changed(image)
    assert names(folder) == names(folder) == []
    write(tmp_path / "a.png", "good now")
    assert names(folder) == []
    assert names(folder) == ["a.png"]


def test_folders_may_go_but_not_the_one_that_is_watched(tmp_path):
    write(tmp_path / "in" / "sub" / "a.png", "x")
    folder = DropFolder(tmp_path / "in")
    folder.poll()
    shutil.rmtree(tmp_path / "in" / "sub")
    assert names(folder) == []
    shutil.rmtree(tmp_path / "in")
    with pytest.raises(DataError, match=r"in can no longer be listed .*; restore it"):
        folder.poll()
