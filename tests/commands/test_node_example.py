"""The example in JavaScript scores as `Detector` does; see docs/how_to/without_python.md."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from javascript import node
from PIL import Image

from rdvar_jax import Detector

ORIENTATION = 0x112  # EXIF's tag


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """JPEGs of all samplings, sizes and orientations, in colour and grey, and a PNG."""
    folder, draw = tmp_path_factory.mktemp("pictures"), random.Random(0)
    numbers = np.random.default_rng(0)
    paths = []
    for index in range(24):
        width, height = draw.randint(20, 300), draw.randint(20, 300)
        coarse = numbers.integers(0, 256, (height // 6 + 2, width // 6 + 2, 3), np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[ORIENTATION] = index % 8 + 1
        paths.append(folder / f"{index:02d}.jpg")
        (image if index % 4 else image.convert("L")).save(
            paths[-1],
            quality=draw.choice([50, 75, 95]),
            subsampling=index % 3,
            progressive=index % 5 == 0,
            exif=exif,
        )
    paths.append(folder / "whole.png")
    Image.fromarray(numbers.integers(0, 256, (90, 40, 3), np.uint8)).save(paths[-1])
    return paths


@pytest.mark.slow  # installs two packages
@pytest.mark.filterwarnings("ignore:.*aspect")
def test_its_scores_are_those_of_python(node_example, pictures, finished):
    done = node(node_example, "score.mjs", finished.exports / "part.onnx", *pictures)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = Detector.load(finished.exports / "part.rdvar").predict(pictures)
    assert [row["path"] for row in rows] == [str(path) for path in pictures]
    np.testing.assert_allclose([row["score"] for row in rows], found.scores, rtol=1e-5)
    assert {row["threshold"] for row in rows} == {np.float32(found.threshold)}
    assert [row["verdict"] == "defective" for row in rows] == list(found.verdicts)


@pytest.mark.slow
def test_it_refuses_what_it_cannot_read(node_example, pictures, finished, tmp_path):
    model = finished.exports / "part.onnx"
    torn, text = tmp_path / "torn.jpg", tmp_path / "text.jpg"
    torn.write_bytes(pictures[1].read_bytes()[:-200])
    text.write_text("no image")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    done = node(node_example, "score.mjs", model, torn, text, tmp_path / "deep.png", pictures[1])
    assert done.returncode == 1
    assert [line.split(": ")[0] for line in done.stderr.splitlines() if str(tmp_path) in line] == [
        str(tmp_path / name) for name in ("torn.jpg", "text.jpg", "deep.png")
    ]
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == [str(pictures[1])]
    (tmp_path / "half.onnx").write_bytes(model.read_bytes()[:5000])
    assert (
        "truncated" in node(node_example, "score.mjs", tmp_path / "half.onnx", pictures[1]).stderr
    )
