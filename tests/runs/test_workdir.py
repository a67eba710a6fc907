"""Files of a run: whole, and with whatever names images have."""

import csv
import os
from pathlib import Path

from rdvar_jax.runs.workdir import write_skipped


def test_the_list_of_what_was_left_out(tmp_path: Path):
    path = tmp_path / "skipped.csv"
    rows = [("a, 'b' \"c\"\nd.png", "is empty."), (os.fsdecode(b"\xff.png"), "is \u00e4lter.")]
    write_skipped(path, rows)
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert list(csv.reader(file)) == [["path", "reason"], *map(list, rows)]
    assert b"\xff.png" in path.read_bytes()  # the name's own bytes
    write_skipped(path, [])
    write_skipped(path, [])
    assert list(tmp_path.iterdir()) == []
