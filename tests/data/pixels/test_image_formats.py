"""Formats with a reader of their own: read where it is installed, else named with the way out."""

import logging
import shutil
from pathlib import Path

import pytest
from image_writers import S, random_pixels, save

from rdvar_jax.data.pixels import image_formats
from rdvar_jax.data.pixels.decode import decode_original
from rdvar_jax.data.sets.drop_folder import DropFolder
from rdvar_jax.data.sets.inputs import find_inputs
from rdvar_jax.data.sets.listing import images_in
from rdvar_jax.errors import DataError

CACHED = (image_formats.readable_suffixes, image_formats.pillow_formats)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
INSTALL = "pip install pillow-heif"


@pytest.fixture(autouse=True)
def forget():
    """Undoes what a test has cached."""
    yield
    for function in CACHED:
        function.cache_clear()


@pytest.fixture
def without_readers(monkeypatch):
    """As where Pillow has no AVIF, and pillow-heif is not installed."""
    monkeypatch.setattr(image_formats, "_has_heif", lambda: False)
    monkeypatch.setattr(image_formats, "_has_avif", lambda: False)
    for function in CACHED:
        function.cache_clear()


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of a PNG, a WebP and a HEIC of a phone."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save(folder / "a.png", random_pixels(S, S, 3))
    save(folder / "b.webp", random_pixels(S, S, 3))
    (folder / "IMG_1.HEIC").write_bytes(HEIC)
    return folder


def test_webp_counts_as_an_image(photos):
    names = [image.name for image in find_inputs([photos])]
    assert {"a.png", "b.webp"} <= set(names)


@pytest.mark.parametrize("find", ["folder", "pattern", "layout"])
def test_without_a_reader_images_are_named_as_skipped(without_readers, photos, caplog, find):
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        if find == "layout":
            found = [path.name for path in images_in(photos)]
        else:
            given = photos if find == "folder" else photos / "*"
            found = [image.name for image in find_inputs([given])]
    assert found == ["a.png", "b.webp"]
    (record,) = caplog.records
    message = record.getMessage()
    assert "skipped" in message and INSTALL in message and "IMG_1.HEIC" in message


def test_they_are_listed_by_name_with_the_reason(without_readers, photos):
    inner = photos / "inner"
    inner.mkdir()
    (photos / "IMG_1.HEIC").rename(inner / "IMG_1.HEIC")
    (photos / "notes.txt").touch()
    for given in (photos, photos / "**" / "*"):
        unread: dict[str, str] = {}
        assert len(find_inputs([given], unread)) == 2
        assert list(unread) == ["inner/IMG_1.HEIC"]
        assert INSTALL in unread["inner/IMG_1.HEIC"]


def test_a_folder_of_nothing_else_says_what_to_install(without_readers, photos, tmp_path):
    (tmp_path / "phone").mkdir()
    shutil.copy(photos / "IMG_1.HEIC", tmp_path / "phone")
    with pytest.raises(DataError, match=f"holds no image .*heic and heif after {INSTALL}"):
        find_inputs([tmp_path / "phone"])


def test_a_watched_folder_names_them_once(without_readers, photos, caplog):
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        drop = DropFolder(photos)
        drop.poll()
        assert [image.name for image in drop.poll()] == ["a.png", "b.webp"]
    assert [INSTALL in record.getMessage() for record in caplog.records] == [True]


def test_a_file_of_its_own_is_refused_with_the_way_out(without_readers, photos):
    (image,) = find_inputs([photos / "IMG_1.HEIC"])
    with pytest.raises(DataError, match=f"IMG_1.HEIC is a HEIC image.*run {INSTALL}, save it as"):
        decode_original(image.path)
    avif = photos / "x.avif"
    avif.write_bytes(HEIC.replace(b"ftypheic", b"ftypavif"))
    with pytest.raises(DataError, match="x.avif is an AVIF image.*run pip install -U pillow"):
        decode_original(avif)


def test_a_damaged_heic_is_called_damaged_where_there_is_a_reader(photos):
    pytest.importorskip("pillow_heif", reason="needs make install")
    with pytest.raises(DataError, match="IMG_1.HEIC .*(damaged|cannot be recognised)"):
        decode_original(photos / "IMG_1.HEIC")
