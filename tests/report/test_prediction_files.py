"""Score files: complete or absent, or resumed after a kill."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from rdvar_jax.report.prediction_files import (
    COLUMNS,
    ImageResult,
    add_skipped,
    continued_scores,
    new_scores,
)

THIRD = float(np.float32(1) / np.float32(3))
REGION = {"box": (1, 2, 3, 4), "area": 3, "score": 0.5}
PREDICTIONS = [
    ImageResult('a "quoted", ü.png', THIRD, 0.25, "defective", 120, [REGION]),
    ImageResult("bytes \udcff.png", 0.1),
    ImageResult("c.png", 1e-7, 0.25, "good", 0, []),
    ImageResult("line\nbreak, 漢字.png", 123456.79),
    ImageResult("raw/e.png", -0.5),
]


def read(folder: Path) -> tuple[list[dict], list[dict]]:
    text = (folder / "scores.csv").read_text(encoding="utf-8", errors="surrogateescape")
    lines = (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(io.StringIO(text))), [json.loads(line) for line in lines]


def test_both_files_say_the_same_and_floats_come_back(tmp_path):
    with new_scores(tmp_path) as lines:
        for prediction in PREDICTIONS:
            lines.add(prediction)
        assert not (tmp_path / "scores.csv").exists()
    rows, objects = read(tmp_path)
    assert [row["path"] for row in rows] == [p.path for p in PREDICTIONS]
    assert [o["path"] for o in objects] == [p.path for p in PREDICTIONS]
    assert tuple(rows[0]) == tuple(objects[0]) == COLUMNS
    for row, found, prediction in zip(rows, objects, PREDICTIONS, strict=True):
        score = np.float32(prediction.score)
        assert np.float32(row["score"]) == np.float32(found["score"]) == score
    region = {**REGION, "box": [1, 2, 3, 4]}
    assert json.loads(rows[0]["regions"]) == objects[0]["regions"] == [region]
    assert (rows[0]["num_regions"], objects[0]["num_regions"]) == ("120", 120)
    assert [rows[1][name] for name in COLUMNS[2:]] == [""] * 4
    assert [objects[1][name] for name in COLUMNS[2:]] == [None] * 4
    assert (rows[2]["num_regions"], rows[2]["regions"]) == ("0", "[]")


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_scores(tmp_path) as lines:
        lines.add(PREDICTIONS[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_going_on_keeps_what_is_whole(tmp_path):
    for prediction in PREDICTIONS[:2]:
        with continued_scores(tmp_path) as (lines, done):
            lines.add(prediction)
    assert done == {PREDICTIONS[0].path}
    before = read(tmp_path)
    # Killed while writing: a JSON line without its row, and half a row.
    with (tmp_path / "scores.jsonl").open("a") as file:
        file.write(PREDICTIONS[2].json_line())
    with (tmp_path / "scores.csv").open("a") as file:
        file.write("c.png,0.0000")
    with continued_scores(tmp_path) as (lines, done):
        assert done == {p.path for p in PREDICTIONS[:2]}
        assert read(tmp_path) == before
        lines.add(PREDICTIONS[2])
    rows, objects = read(tmp_path)
    assert [row["path"] for row in rows] == [o["path"] for o in objects]
    assert len(rows) == 3


@pytest.mark.parametrize(
    "torn", ["", "path,sco", "path,score,threshold,verdict,num_regions,regions"]
)
def test_a_header_that_is_not_whole_is_written_again(tmp_path, torn):
    (tmp_path / "scores.csv").write_text(torn)
    with continued_scores(tmp_path) as (lines, done):
        assert done == set()
        lines.add(PREDICTIONS[2])
    rows, objects = read(tmp_path)
    assert [row["path"] for row in rows] == [o["path"] for o in objects] == ["c.png"]


def test_skipped_images_have_one_header(tmp_path):
    add_skipped(tmp_path, "a.png", "is empty, really")
    add_skipped(tmp_path, "b.png", "damaged")
    with (tmp_path / "skipped.csv").open(newline="") as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == [
            ("a.png", "is empty, really"),
            ("b.png", "damaged"),
        ]
