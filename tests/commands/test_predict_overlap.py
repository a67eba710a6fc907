"""Reading, scoring and writing overlap: the files are those of one after the other."""

import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from rdvar_process import assert_one_sentence

from rdvar_jax.commands import predict as command
from rdvar_jax.commands.predicting import image_writer
from rdvar_jax.commands.predicting.image_writer import ImageWriter
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
    with monkeypatch.context() as patch:
        for name in ("decode_original", "image_dimensions"):  # each file is decoded once
            patch.setattr(image_writer, name, None)
        overlapping = predict(finished.workdir, "1", *args)
    assert len(overlapping) == 5 + 6 * 6  # two of the six for the page
    monkeypatch.setattr(command, "ahead", one_after_the_other)
    monkeypatch.setattr(inputs, "ahead", one_after_the_other)
    # Every image is read again to be drawn.
    monkeypatch.setattr(kept_pictures.KeptPictures, "take", lambda self, path: None)
    assert predict(finished.workdir, "2", *args) == overlapping


def test_what_is_kept_of_the_pass_for_the_scale_is_scored_alike(finished, predict, monkeypatch):
    expected = predict(finished.trained, "all", "--nopage")
    decoded = []

    def decode(path, *args, real=inputs.decode_file):
        decoded.append(path)
        return real(path, *args)

    monkeypatch.setattr(inputs, "decode_file", decode)
    for batches in (0, 2):
        decoded.clear()
        bytes_each = 2 * 32 * 32 * (3 + 4)  # of two images of 32 x 32 and their maps
        monkeypatch.setattr(command, "_MAX_SCORED_BYTES", batches * bytes_each)
        assert predict(finished.trained, str(batches), "--nopage") == expected
        assert len(decoded) == 7 + 7 - 2 * batches


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
