"""Score files: complete or absent, or resumed after a kill."""

import csv
import io
import json
import os
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
    ImageResult("carriage\rreturn.png", 0.25),
]


def read(folder: Path) -> tuple[list[dict], list[dict]]:
    text = (folder / "scores.csv").read_bytes().decode(errors="surrogateescape")
    lines = (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(io.StringIO(text, newline=""))), [json.loads(line) for line in lines]


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


@pytest.fixture
def three(tmp_path) -> Path:
    """A folder with the rows of three images."""
    with continued_scores(tmp_path) as (lines, _):
        for prediction in PREDICTIONS[:3]:
            lines.add(prediction)
    return tmp_path


def repaired(folder: Path) -> list[str]:
    """The paths of the rows after going on, the same in both files."""
    with continued_scores(folder) as (_, done):
        pass
    rows, objects = read(folder)
    assert [row["path"] for row in rows] == [o["path"] for o in objects]
    assert done == {row["path"] for row in rows} and len(done) == len(rows)
    return [row["path"] for row in rows]


def test_going_on_keeps_what_is_whole(three):
    before = read(three)
    with (three / "scores.jsonl").open("a") as file:
        file.write(PREDICTIONS[3].json_line()[:-5])
    with (three / "scores.csv").open("a") as file:
        file.write('"line\nbreak')  # killed in a name
    repaired(three)
    assert read(three) == before


@pytest.mark.parametrize("file", ["scores.csv", "scores.jsonl"])
@pytest.mark.parametrize("lost", ["the last row", "half of the last row", "all", "the file"])
def test_rows_that_one_file_has_lost_are_restored_from_the_other(three, file, lost, caplog):
    before, path = read(three), three / file
    text = path.read_bytes()
    rows = text.splitlines(keepends=True)
    if lost == "the file":
        path.unlink()
    else:
        kept = {"the last row": b"".join(rows[:-1]), "half of the last row": text[:-9], "all": b""}
        path.write_bytes(kept[lost])
    repaired(three)
    assert read(three) == before
    assert "did not agree, as after a kill" in caplog.text
    caplog.clear()
    repaired(three)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "damaged",
    [
        b"\n",
        b"c.png,one,,,,\n",
        b"c.png,nan,,,,\n",
        b"c.png,0.5,,perhaps,,\n",
        b"c.png,0.5,,,," + b"[" * 5000 + b"\n",
        b",0.5,,,,\n",
        b"c.png,0.5\n",
        b'"c.png,0.5,,,,\n' + b"x" * 200_000 + b"\n",
        b"\0\xff\n",
    ],
    ids=range(9),
)
def test_a_damaged_row_does_not_count(three, damaged):
    with (three / "scores.csv").open("ab") as file:
        file.write(damaged)
    with (three / "scores.jsonl").open("ab") as file:
        file.write(b'{"path": "d.png"}\n[1]\n' + b"[" * 100_000 + b"\n\xff\0\n")
    assert repaired(three) == [p.path for p in PREDICTIONS[:3]]


def test_an_image_whose_two_rows_differ_is_scored_again(three, caplog):
    csv_file = three / "scores.csv"
    text = csv_file.read_text(encoding="utf-8", errors="surrogateescape")
    csv_file.write_text(text.replace("1e-07", "3e-07"), encoding="utf-8", errors="surrogateescape")
    assert repaired(three) == [p.path for p in PREDICTIONS[:2]]
    assert "so scored again: c.png" in caplog.text


def test_going_on_changes_no_file_that_is_linked_to(three, tmp_path_factory):
    victim = tmp_path_factory.mktemp("photos") / "a.png"
    victim.write_bytes(b"a photograph")
    (three / "skipped.csv").symlink_to(victim)
    (three / "scores.jsonl").unlink()
    os.link(victim, three / "scores.jsonl")
    with continued_scores(three) as (lines, _):
        lines.add(PREDICTIONS[4])
        add_skipped(three, "b.png", "damaged")
    assert victim.read_bytes() == b"a photograph"
    assert len(read(three)[0]) == 4


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
