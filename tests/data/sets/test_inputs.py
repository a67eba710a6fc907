"""Input images from files, folders and patterns, found and decoded in batches."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.data.sets.inputs import InputImage, decode_batches, find_inputs
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


@pytest.mark.parametrize("second", ["in/a.jpg", "other/a.png", "in/a.png"])
def test_two_inputs_with_one_result_are_refused(tmp_path, second):
    paths = [save(tmp_path / "in/a.png"), save(tmp_path / second)]
    with pytest.raises(DataError, match=r"would both be written as a\.png; leave one out") as error:
        find_inputs(paths)
    assert all(str(path) in str(error.value) for path in paths)


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
