"""Reading, scoring and writing overlap: the files are those of one after the other."""

import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from rdvar_process import assert_one_sentence

from rdvar_jax.commands import predict as command
from rdvar_jax.commands.image_writer import ImageWriter
from rdvar_jax.data.pixels import kept_pictures
from rdvar_jax.data.sets import inputs
from rdvar_jax.report.prediction_files import ScoreLines


@pytest.fixture
def photos(toy_root, tmp_path) -> Path:
    """Seven images, in batches of two; one is large, and one cannot be read."""
    folder = Path(shutil.copytree(toy_root / "tile" / "test", tmp_path / "in"))
    with Image.open(folder / "good" / "001.png") as image:
        image.resize((150, 90)).save(folder / "good" / "001.png")
    (folder / "spot" / "000.png").write_text("no image")
    return folder


@pytest.fixture
def predict(rdvar, photos, tmp_path):
    def call(workdir: Path, name: str, *args) -> dict[str, bytes]:
        output = tmp_path / name / "out"
        done = rdvar.run(
            *("predict", "--workdir", workdir, "--input", photos, "--output", output),
            *("--config.score.batch_size=2", "--on_error=skip", *args),
        )
        assert done.returncode == 0, done.stderr
        found = sorted(path for path in output.rglob("*") if path.is_file())
        return {path.relative_to(output).as_posix(): path.read_bytes() for path in found}

    return call


@contextmanager
def one_after_the_other(work, items, number):
    yield map(work, items)


def test_files_are_those_of_one_image_after_the_other(finished, predict, monkeypatch):
    args = ("--save_masks", "--save_maps", "--map_size=original", "--pixel_threshold=0.1")
    overlapping = predict(finished.workdir, "1", *args)
    assert len(overlapping) == 5 + 6 * 6  # two of the six for the page
    monkeypatch.setattr(command, "ahead", one_after_the_other)
    monkeypatch.setattr(inputs, "ahead", one_after_the_other)
    # Every image is read again to be drawn.
    monkeypatch.setattr(kept_pictures.KeptPictures, "take", lambda self, path: None)
    assert predict(finished.workdir, "2", *args) == overlapping


@pytest.mark.parametrize("batches", [0, 2])
def test_what_is_kept_of_the_pass_for_the_scale_is_scored_alike(
    finished, predict, monkeypatch, batches
):
    expected = predict(finished.trained, "1", "--nopage")
    bytes_each = 2 * 32 * 32 * (3 + 4)
    monkeypatch.setattr(command, "_MAX_SCORED_BYTES", batches * bytes_each)
    num_decoded = []
    monkeypatch.setattr(
        inputs,
        "decode_file",
        lambda path, *args, real=inputs.decode_file: num_decoded.append(path) or real(path, *args),
    )
    assert predict(finished.trained, "2", "--nopage") == expected
    assert len(num_decoded) == 7 + 7 - 2 * batches


def test_an_image_is_decoded_once(finished, predict, monkeypatch):
    def never(*args):
        raise AssertionError("decoded again")

    monkeypatch.setattr("rdvar_jax.commands.image_writer.decode_original", never)
    monkeypatch.setattr("rdvar_jax.commands.image_writer.image_dimensions", never)
    predict(finished.workdir, "1", "--save_maps", "--map_size=original")


def test_no_picture_is_held_once_its_files_are_written(finished, predict, monkeypatch):
    held = []

    class Counted(kept_pictures.KeptPictures):
        def put(self, path, picture):
            super().put(path, picture)
            held.append(len(self._kept))

    monkeypatch.setattr(command, "KeptPictures", Counted)
    # One after the other there is never more than the batch.
    monkeypatch.setattr(command, "ahead", one_after_the_other)
    monkeypatch.setattr(inputs, "ahead", one_after_the_other)
    predict(finished.workdir, "1")
    assert len(held) == 6 and max(held) == 2


def test_the_first_error_in_the_order_of_the_images_is_said(
    rdvar, finished, photos, tmp_path, monkeypatch
):
    """Writing fails in the first batch, while the second one cannot be read."""
    write = ImageWriter.write

    def fail(self, image, *arrays):
        if image.name == "good/001.png":
            raise OSError(28, "No space left on device", "the first")
        return write(self, image, *arrays)

    monkeypatch.setattr(ImageWriter, "write", fail)
    (photos / "good" / "002.png").write_text("no image")
    args = ("predict", "--workdir", finished.workdir, "--input", photos, "--output", tmp_path / "o")
    done = rdvar.run(*args, "--config.score.batch_size=2")
    assert_one_sentence(done, "the first cannot be written, because the disk is full")
    assert not (tmp_path / "o").exists()
    monkeypatch.undo()
    done = rdvar.run(*args, "--config.score.batch_size=2")
    assert_one_sentence(done, "good/002.png cannot be recognised")  # not spot/000.png
    assert not (tmp_path / "o").exists()


def test_nothing_is_written_after_a_stop(rdvar, finished, photos, tmp_path, monkeypatch):
    """Ctrl-C comes at the first row, while the files of the next images are written."""
    begun, written = [], []

    def write_slowly(self, image, *arrays, real=ImageWriter.write):
        begun.append(image.name)
        time.sleep(0.2 if begun[1:] else 0)
        row = real(self, image, *arrays)
        written.append(image.name)
        return row

    def stop(self, row):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageWriter, "write", write_slowly)
    monkeypatch.setattr(ScoreLines, "add", stop)
    (photos / "spot" / "000.png").unlink()
    output = tmp_path / "out"
    done = rdvar.run(
        *("predict", "--workdir", finished.workdir, "--input", photos, "--output", output),
        "--config.score.batch_size=2",
    )
    assert done.returncode == 130, done.stderr
    assert len(begun) >= 2 and sorted(begun) == sorted(written)
    assert not output.exists()
