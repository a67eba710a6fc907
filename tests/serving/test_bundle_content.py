"""Bundles whose content is wrong under right hashes, and folders and scores of a detector."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from tampered_bundles import TAMPERED, tampered

from rdvar_jax import Detector
from rdvar_jax.data.sets.inputs import find_inputs
from rdvar_jax.errors import BundleError, DataError
from rdvar_jax.serving.archive import read_bundle, write_bundle
from rdvar_jax.serving.runtimes.exported_program import ExportedProgram


def load_tampered(bundle, folder, name) -> str:
    """Loads it and scores an image; returns the sentence of the refusal, or ""."""
    path = tampered(bundle, folder, name)
    try:
        found = Detector.load(path).predict(np.zeros((1, 32, 32, 3), np.uint8))
    except (BundleError, DataError) as error:
        sentence = str(error)
        assert str(path) in sentence or "score" in sentence
        assert "\n" not in sentence and sentence.isprintable() and len(sentence) < 700, sentence
        return sentence
    assert np.isfinite(found.scores).all() and found.scores.shape == (1,)
    return ""


# One of each kind; all of them in test_tampered_bundles.py, in a process with limits.
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NaN weights", "weights teacher/conv1/kernel are not finite; export the run again"),
        ("NaN threshold", "threshold in its manifest must be a finite number, not nan"),
        ("threshold: a text", "threshold in its manifest must be a finite number, not 'low'"),
        ("pixel threshold: nan", "threshold.pixel_threshold in its manifest must be a finite nu"),
        (
            "pooling: 'mean'",
            "map.pooling in its manifest must be max or a number over 0 and at most",
        ),
        ("min_area: 1.5", "min_area in its manifest must be a whole number, at least 0, not 1.5"),
        ("versions: null", "versions in its manifest must be an object, not null"),
        ("height: 2**40", "image.height in its manifest must be a whole number from 1 to 16384"),
        ("program of 64 px", "cannot be run by jax"),
        ("program without scores", "its program does not return maps and scores of its images"),
        ("manifest: deep", "is not an intact bundle"),
        ("zip: large directory", "its directory is too large"),
        ("zip: huge member", "more than the file holds"),
        ("weights: huge header", "cannot be run by jax"),
        ("overflowing weights", "image 0 has the score nan, which is not a finite number"),
    ],
)
def test_wrong_content_is_one_sentence(bundle, tmp_path, name, words):
    assert words in load_tampered(bundle, tmp_path, name)


def test_there_are_many():
    assert len(TAMPERED) >= 55


def test_scores_that_are_not_finite_are_never_good(bundle, monkeypatch):
    detector = Detector.load(bundle)
    images = np.zeros((3, 32, 32, 3), np.uint8)
    real = detector.score

    def broken(pixels):
        maps, scores = map(np.array, real(pixels))
        scores[1] = value
        return maps, scores

    monkeypatch.setattr(detector, "score", broken)
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(DataError, match=f"image 1 has the score {value}, which is not a fin"):
            detector.predict(images)


def test_a_folder_stands_for_its_images_as_in_predict(bundle, tmp_path):
    rng = np.random.default_rng(3)
    for name in ("b.png", "a.bmp", "sub/c.jpg", "sub/a.png", "a.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    detector = Detector.load(bundle)
    images = find_inputs([tmp_path / "photos"])
    found = detector.predict(tmp_path / "photos")
    assert found.names == [image.name for image in images]
    assert len(found.names) == 5 and "sub/c.jpg" in found.names
    one_by_one = detector.predict([image.path for image in images])
    assert np.array_equal(found.scores, one_by_one.scores)
    assert one_by_one.names == [str(image.path) for image in images]
    array = np.zeros((32, 32, 3), np.uint8)
    mixed = detector.predict([array, str(tmp_path / "photos" / "sub"), array])
    assert mixed.names == ["image 0", "a.png", "c.jpg", "image 3"]
    pattern = detector.predict(str(tmp_path / "photos" / "*.png"))
    assert pattern.names == ["a.png", "b.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"The folder .*empty holds no image"):
        detector.predict(tmp_path / "empty")


def test_any_value_in_any_entry_of_the_manifest(bundle, tmp_path, monkeypatch):
    """A refusal in one sentence, or a detector; the program is not run."""
    manifest, members = read_bundle(bundle)
    about = {k: v for k, v in manifest.items() if k not in ("format", "format_version", "files")}
    values = (None, True, -1, 0, 2**70, "x", [], {}, [1] * 50, "\x1b[2J", {"a": {"b": None}})
    monkeypatch.setattr(ExportedProgram, "_check_shapes", lambda *_: None)
    outcomes = set()
    for entry in (*about, *(("image", key) for key in about["image"]), ("threshold", "threshold")):
        for value in values:
            changed = json.loads(json.dumps(about))
            if isinstance(entry, tuple):
                changed[entry[0]][entry[1]] = value
            else:
                changed[entry] = value
            write_bundle(tmp_path / "x.rdvar", changed, members)
            try:
                Detector.load(tmp_path / "x.rdvar")
                outcomes.add("")
            except BundleError as error:
                assert str(error).isprintable(), entry
                outcomes.add(str(error).split(",")[0])
    assert "" in outcomes and len(outcomes) > 1
