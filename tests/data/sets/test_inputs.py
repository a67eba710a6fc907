"""Input images from files, folders and patterns, found and decoded in batches."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.data.sets.inputs import (
    InputImage,
    check_result_names,
    decode_batches,
    find_inputs,
    result_problem,
)
from rdvar_jax.errors import DataError


def save(path: Path, size_wh: tuple[int, int] = (8, 6), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size_wh[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def names(images: list[InputImage]) -> list[str]:
    return [image.name for image in images]


def test_folders_are_searched_at_any_depth_and_files_keep_their_own_name(tmp_path):
    for name in ("b.png", "a.JPG", "sub folder/ü ß.tif", "sub folder/deep/c.bmp", ".hidden.png"):
        save(tmp_path / "in" / name)
    single = save(tmp_path / "elsewhere" / "z.png")
    images = find_inputs([single, tmp_path / "in"])
    expected = ["z.png", "a.JPG", "b.png", "sub folder/ü ß.tif", "sub folder/deep/c.bmp"]
    assert names(images) == expected
    assert images[0].path == single
    assert all((tmp_path / "in" / image.name) == image.path for image in images[1:])
    assert images[3].result_name(".npy") == "sub folder/ü ß.npy"


def test_a_file_that_is_named_is_taken_whatever_its_suffix(tmp_path):
    save(tmp_path / "a.png").rename(tmp_path / "a.dat")
    assert names(find_inputs([tmp_path / "a.dat"])) == ["a.dat"]


def test_other_files_of_a_folder_are_left_out_with_a_warning(tmp_path, caplog):
    save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("x")
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        assert names(find_inputs([tmp_path])) == ["a.png"]
    assert "notes.txt" in caplog.text and "not images" in caplog.text


def test_a_link_to_a_folder_above_is_not_followed_and_others_are(tmp_path, caplog):
    save(tmp_path / "in" / "sub" / "a.png")
    save(tmp_path / "other" / "b.png")
    (tmp_path / "in" / "sub" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "other")
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        assert names(find_inputs([tmp_path / "in"])) == ["link/b.png", "sub/a.png"]
    assert "loop" in caplog.text


def test_what_cannot_be_found_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nowhere does not exist; pass"):
        find_inputs([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="empty holds no image .png, jpg"):
        find_inputs([tmp_path / "empty"])
    with pytest.raises(DataError, match="No input"):
        find_inputs([])
    with pytest.raises(DataError, match=r"pattern .*\*\.png matches no image"):
        find_inputs([tmp_path / "*.png"])


def test_a_pattern_is_found_here_and_named_from_its_fixed_folder(tmp_path, caplog, monkeypatch):
    for name in ("b.png", "sub/a.png", "sub/deep/c.PNG", "sub/d.jpg", "sub/.e.png"):
        save(tmp_path / "in" / name)
    (tmp_path / "in" / "sub" / "notes.txt").write_text("x")
    pattern = tmp_path / "in" / "**" / "*.[pP]*"
    assert names(find_inputs([pattern])) == ["b.png", "sub/a.png", "sub/deep/c.PNG"]
    monkeypatch.chdir(tmp_path / "in")
    assert names(find_inputs([Path("**/*.png")])) == ["b.png", "sub/a.png"]
    assert names(find_inputs([Path("sub/?.png"), Path("b.png")])) == ["a.png", "b.png"]
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        assert names(find_inputs([Path("sub/*")])) == ["a.png", "d.jpg"]
    assert "notes.txt" in caplog.text
    # No link to a folder above is followed; an existing file of that name is not a pattern.
    Path("sub/loop").symlink_to(tmp_path / "in")
    assert names(find_inputs([Path("**/*.png")])) == ["b.png", "sub/a.png"]
    save(Path("[b].png"))
    assert names(find_inputs([Path("[b].png")])) == ["[b].png"]


def test_parts_of_a_pattern_that_exist_are_literal(tmp_path, monkeypatch):
    wanted = save(tmp_path / "line [2]/a.png")
    save(tmp_path / "line 2/b.png")
    save(tmp_path / "day 1/line [2]/c.png")
    save(tmp_path / "day 1/line 2/d.png")
    save(tmp_path / "day 2/line 2/e.png")
    for base in (tmp_path, Path()):
        monkeypatch.chdir(tmp_path)
        (image,) = find_inputs([base / "line [2]/*.png"])
        assert (image.path.resolve(), image.name) == (wanted, "a.png")
        assert names(find_inputs([base / "line [12]/*.png"])) == ["line 2/b.png"]
        assert names(find_inputs([base / "day */line [2]/*.png"])) == ["day 1/line [2]/c.png"]
        assert names(find_inputs([base / "line [2]/**/*.png"])) == ["a.png"]
        assert names(find_inputs([base / "day 1/**/[cd].png"])) == [
            "line 2/d.png",
            "line [2]/c.png",
        ]
    save(tmp_path / "line [2]/[a].png")
    assert names(find_inputs([tmp_path / "line [2]/[a].png"])) == ["[a].png"]
    with pytest.raises(DataError, match="matches no image"):
        find_inputs([tmp_path / "nowhere/*.png"])


def test_two_inputs_with_one_result_are_read_and_not_written(tmp_path):
    images = find_inputs([save(tmp_path / "in/a.png"), save(tmp_path / "other/a.png")])
    assert names(images) == ["a.png", "a.png"]
    with pytest.raises(DataError, match=r"both be written as a\.png; leave one out") as error:
        check_result_names(images)
    assert all(str(image.path) in str(error.value) for image in images)


def test_names_of_results_keep_their_suffix_where_they_would_collide(tmp_path):
    for name in ("a.png", "a.jpg", "a.jpg.png", "b.png", "sub/a.png"):
        save(tmp_path / name)
    images = find_inputs([tmp_path])
    check_result_names(images)
    assert {image.name: image.result_name(".png") for image in images} == {
        "a.png": "a.png.png",
        "a.jpg": "a.jpg.png",
        "a.jpg.png": "a.jpg.png.png",
        "b.png": "b.png",
        "sub/a.png": "sub/a.png",
    }


@pytest.mark.parametrize("rest", ["*/../../b/*.png", "**/../b/*.png", "?/../*.png", "*/.."])
def test_a_pattern_that_leads_up_again_is_refused(tmp_path, rest):
    save(tmp_path / "a" / "x" / "1.png")
    save(tmp_path / "b" / "2.png")
    with pytest.raises(DataError, match=r"has \.\. after its first \*"):
        find_inputs([tmp_path / "a" / rest])
    assert names(find_inputs([tmp_path / "a" / ".." / "b" / "*.png"])) == ["2.png"]


@pytest.mark.parametrize("name", ["../a.png", "b/../../a.png", "/a.png", "x" * 252 + ".png"])
def test_a_name_that_no_result_can_have_is_refused(name):
    image = InputImage(Path("p.png"), name)
    assert result_problem(image) is not None
    with pytest.raises(DataError, match=r"^p\.png (would be written outside|has a name too long)"):
        check_result_names([image])


def test_names_may_be_one_file_where_results_are_written(tmp_path):
    images = [InputImage(Path(name), name) for name in ("A.png", "a.png")]
    check_result_names(images)
    with pytest.raises(DataError, match="would both be written as"):
        check_result_names(images, str.casefold)


def test_an_image_of_two_inputs_is_taken_once(tmp_path, caplog, monkeypatch):
    save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        images = find_inputs([tmp_path, Path("*.png"), Path("a.png")])
    assert names(images) == ["a.png"] and not images[0].keep_suffix
    assert "2 images are in two inputs" in caplog.text


def test_batches_are_what_decoding_alone_gives(tmp_path):
    for index, size_wh in enumerate([(8, 6), (40, 64), (64, 64), (3, 90), (16, 16)]):
        save(tmp_path / f"{index}.png", size_wh, seed=index)
    images = find_inputs([tmp_path])
    batches = list(decode_batches(images, 32, 2))
    assert [names(list(batch)) for batch, _ in batches] == [
        ["0.png", "1.png"],
        ["2.png", "3.png"],
        ["4.png"],
    ]
    pixels = np.concatenate([pixels for _, pixels in batches])
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, [decode_image(image.path, 32) for image in images])


def test_a_batch_is_read_when_it_is_asked_for(tmp_path):
    save(tmp_path / "0.png")
    (tmp_path / "1.png").write_text("not an image")
    batches = decode_batches(find_inputs([tmp_path]), 32, 1)
    assert next(batches)[1].shape == (1, 32, 32, 3)
    with pytest.raises(DataError, match=r"1\.png cannot be recognised"):
        next(batches)


def test_images_that_cannot_be_read_are_left_out_if_asked(tmp_path):
    for index in (0, 2, 5):
        save(tmp_path / f"{index}.png", seed=index)
    for index in (1, 3, 4):
        (tmp_path / f"{index}.png").write_text("not an image")
    skipped = {}
    images = find_inputs([tmp_path])
    batches = list(
        decode_batches(images, 32, 2, lambda image, why: skipped.update({image.name: why}))
    )
    # The batch of 4 and 5 has one image, and that of 2 and 3 too.
    assert [names(list(batch)) for batch, _ in batches] == [["0.png"], ["2.png"], ["5.png"]]
    for batch, pixels in batches:
        assert np.array_equal(pixels, [decode_image(image.path, 32) for image in batch])
    assert list(skipped) == ["1.png", "3.png", "4.png"]
    assert all(name in why and "cannot be recognised" in why for name, why in skipped.items())
