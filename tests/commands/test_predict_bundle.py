"""Verdicts from a bundle on the command line: those of the run that it was exported from."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from rdvar_process import assert_one_sentence
from run_files import read_rows

from rdvar_jax.data.pixels import image_formats
from rdvar_jax.serving.runtimes import choice


@pytest.fixture(scope="module")
def bundle(finished) -> Path:
    return finished.exports / "part.rdvar"


@pytest.fixture
def photos(toy_root, tmp_path, monkeypatch) -> Path:
    """Seven images in tmp_path / "photos", which is the working folder's.

    The good ones are mirrored: the threshold is the score of one of them, on which side of it that
    very image falls would be decided by rounding, and the bundle's rounding is another.
    """
    monkeypatch.chdir(tmp_path)
    copied = Path(shutil.copytree(toy_root / "tile" / "test", tmp_path / "photos"))
    for path in (copied / "good").iterdir():
        with Image.open(path) as picture:
            mirrored = ImageOps.mirror(picture)
        mirrored.save(path)
    return copied


def test_a_bundle_says_what_its_run_says(rdvar, finished, bundle, photos, tmp_path):
    done = rdvar.run("predict", "--bundle", bundle, "photos", "--save_masks", "--fail_on_defect")
    output = Path("photos-verdicts")
    assert done.returncode == 1, done.stderr
    of_run = rdvar.run(
        *("predict", "--workdir", finished.workdir, "photos", "--output", "out", "--save_masks")
    )
    assert of_run.returncode == 0, of_run.stderr
    assert done.stdout.split(" Open ")[0] == of_run.stdout.split(" Open ")[0]
    assert done.stdout.endswith(f" Open {output / 'index.html'}\n")
    rows, expected = read_rows(output / "scores.csv"), read_rows(Path("out", "scores.csv"))
    assert len(rows) == 7
    for row, other in zip(rows, expected, strict=True):
        assert float(row["score"]) == pytest.approx(float(other["score"]), rel=1e-5)
        for column in ("path", "threshold", "verdict", "num_regions"):
            assert row[column] == other[column]
    for kind in ("overlays", "heat_maps", "masks", "thumbnails/heat", "thumbnails/plain"):
        found, wanted = (
            sorted(p.name for p in (f / kind).rglob("*")) for f in (output, Path("out"))
        )
        assert found == wanted and len(found) == 9  # with two folders
    about = json.loads((output / "prediction.json").read_text())
    assert about["bundle"] == "part.rdvar"
    assert about["bundle_sha256"] == sha256(bundle.read_bytes()).hexdigest()
    assert about["run"]["step"] == 20
    page = (output / "index.html").read_text()
    assert "Bundle part.rdvar" in page and "good images that were not trained on" in page


def test_an_onnx_model_says_what_the_bundle_says(rdvar, finished, bundle, photos):
    model = finished.exports / "part.onnx"
    rows = []
    # The stored threshold is the score of one of these images, to the last bit.
    for path, output in ((bundle, "of_bundle"), (model, "of_model")):
        options = ("--nooverlays", "--noheat_maps", "--output", output, "--threshold", "1.2")
        done = rdvar.run("predict", "--bundle", path, *options, "photos")
        assert (done.returncode, done.stderr) == (0, "")
        rows.append(read_rows(Path(output, "scores.csv")))
    assert len(rows[1]) == 7
    for row, other in zip(*rows, strict=True):
        assert float(row["score"]) == pytest.approx(float(other["score"]), rel=1e-5)
        for column in ("path", "threshold", "verdict", "num_regions"):
            assert row[column] == other[column]
    assert {row["verdict"] for row in rows[1]} == {"good", "defective"}
    about = json.loads(Path("of_model/prediction.json").read_text())
    assert about["bundle"] == "part.onnx" and about["run"]["step"] == 20
    assert about["bundle_sha256"] == sha256(model.read_bytes()).hexdigest()


def test_an_onnx_model_without_a_runtime_is_one_sentence(rdvar, finished, photos, monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    before = set(os.listdir())
    done = rdvar.run("predict", "--bundle", finished.exports / "part.onnx", "photos")
    assert_one_sentence(done, 'pip install "rdvar-jax[onnxruntime]"')
    assert set(os.listdir()) == before


def test_a_threshold_of_the_user_goes_first(rdvar, bundle, photos):
    args = ("--threshold", "0", "--noheat_maps", "--nooverlays")
    done = rdvar.run("predict", "--bundle", bundle, *args, "photos", "--output", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"7 images: 7 defective, 0 good. Open {Path('out', 'scores.csv')}\n"
    assert sorted(os.listdir("out")) == ["prediction.json", "scores.csv", "scores.jsonl"]
    assert json.loads(Path("out/prediction.json").read_text())["thresholds"] == {
        "image": 0.0,
        "pixel": 0.0,
        "min_area": 0,
    }


def test_images_without_a_reader_count_as_skipped(rdvar, bundle, photos, monkeypatch):
    monkeypatch.setattr(image_formats, "_has_heif", lambda: False)
    image_formats.readable_suffixes.cache_clear()
    (photos / "good" / "IMG_1.heic").touch()
    done = rdvar.run("predict", "--bundle", bundle, "photos", "--page", "--nooverlays")
    image_formats.readable_suffixes.cache_clear()
    assert done.returncode == 0, done.stderr
    assert ", 1 skipped (could not be read). Open " in done.stdout
    (row,) = read_rows(Path("photos-verdicts", "skipped.csv"))
    assert row["path"] == "good/IMG_1.heic" and "pip install pillow-heif" in row["reason"]
    assert "pip install pillow-heif" in Path("photos-verdicts", "index.html").read_text()


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["--config.score.batch_size=2"], ["a bundle takes no settings"]),
        (["--checkpoint=best"], ["leave out --checkpoint best"]),
        (["--watch", "--output=out"], ["--watch needs a run"]),
        (["--threshold=nan"], ["--threshold nan must be a finite number"]),
    ],
)
def test_what_a_bundle_does_not_take_is_said(rdvar, bundle, photos, args, parts):
    before = set(os.listdir())
    assert_one_sentence(rdvar.run("predict", "--bundle", bundle, "photos", *args), *parts)
    assert set(os.listdir()) == before


def test_a_file_that_is_no_bundle(rdvar, photos):
    Path("x.rdvar").write_text("no zip")
    before = set(os.listdir())
    assert_one_sentence(rdvar.run("predict", "--bundle", "x.rdvar", "photos"), "x.rdvar")
    assert_one_sentence(rdvar.run("predict", "--bundle", "gone.rdvar", "photos"), "gone.rdvar")
    assert set(os.listdir()) == before
